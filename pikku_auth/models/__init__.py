"""State: who the machines and their humans are, what they hold, and what was done to it.

Only :mod:`pikku_auth.flows` writes it. Rows say what they are without a secret: the
plaintext of a key was never here, and its digest stays out of ``str`` and ``repr``.
"""

from __future__ import annotations

from pikku_auth.models.audit import AuditEvent
from pikku_auth.models.imported import ImportedCredential
from pikku_auth.models.keys import APIKey, KeyState, ServiceUser
from pikku_auth.models.logins import Attempts, DeviceCode, LoginSession
from pikku_auth.models.notices import Notice
from pikku_auth.models.requests import UsedRequest
from pikku_auth.models.tickets import SocketTicket

__all__ = [
    "APIKey",
    "Attempts",
    "AuditEvent",
    "DeviceCode",
    "ImportedCredential",
    "KeyState",
    "LoginSession",
    "Notice",
    "ServiceUser",
    "SocketTicket",
    "UsedRequest",
]
