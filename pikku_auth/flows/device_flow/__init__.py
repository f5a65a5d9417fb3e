"""Device login (RFC 8628): a device starts one, a human decides, the device fetches its token."""

from __future__ import annotations

from pikku_auth.flows.device_flow.approval import approve, claim, deny, look_up, release
from pikku_auth.flows.device_flow.authorize import StartedLogin, start_login
from pikku_auth.flows.device_flow.token import IssuedLogin, exchange

__all__ = [
    "IssuedLogin",
    "StartedLogin",
    "approve",
    "claim",
    "deny",
    "exchange",
    "look_up",
    "release",
    "start_login",
]
