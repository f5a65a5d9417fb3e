"""The verbs: the only writers of state.

Each change is one guarded UPDATE whose row count is the decision, the first statement
of its transaction; its audit row is in the same transaction, its signal after commit.
"""

from __future__ import annotations

from pikku_auth.flows.audit import Origin
from pikku_auth.flows.device import approve, claim, deny, look_up, release, start_login
from pikku_auth.flows.exchange import IssuedLogin, exchange
from pikku_auth.flows.keys import disable_key, enable_key, find_key, revoke_key
from pikku_auth.flows.logins import live_logins, revoke_login, revoke_logins, verify_login
from pikku_auth.flows.minting import IssuedKey, import_key, mint_key
from pikku_auth.flows.pruning import prune
from pikku_auth.flows.resolver import resolve
from pikku_auth.flows.rotation import mint_or_rotate, rotate_key
from pikku_auth.flows.service_users import (
    activate_service_user,
    create_service_user,
    deactivate_service_user,
    get_service_user,
)
from pikku_auth.flows.verification import verify_key

__all__ = [
    "IssuedKey",
    "IssuedLogin",
    "Origin",
    "activate_service_user",
    "approve",
    "claim",
    "create_service_user",
    "deactivate_service_user",
    "deny",
    "disable_key",
    "enable_key",
    "exchange",
    "find_key",
    "get_service_user",
    "import_key",
    "live_logins",
    "look_up",
    "mint_key",
    "mint_or_rotate",
    "prune",
    "release",
    "resolve",
    "revoke_key",
    "revoke_login",
    "revoke_logins",
    "rotate_key",
    "start_login",
    "verify_key",
    "verify_login",
]
