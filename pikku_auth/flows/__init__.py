"""The verbs: the only writers of state.

Each change of a credential's state is one guarded UPDATE whose row count is the decision,
the first statement of its transaction; its audit row is in the same transaction, its signal
after commit.
"""

from __future__ import annotations

from pikku_auth.core.delegation import Delegation
from pikku_auth.core.limits import Rate
from pikku_auth.flows.accounts import is_service_user
from pikku_auth.flows.audit import AuditContext
from pikku_auth.flows.authentication import aauthenticate, arevalidate, authenticate, revalidate
from pikku_auth.flows.ceilings import set_service_user_scopes
from pikku_auth.flows.contacts import set_service_user_contacts
from pikku_auth.flows.device_flow.revoke import revoke_logins
from pikku_auth.flows.forgetting import forget_human
from pikku_auth.flows.keys.bounds import Bounds, set_key_bounds, shorten_key
from pikku_auth.flows.keys.delegate import mint_child
from pikku_auth.flows.keys.family import children_of
from pikku_auth.flows.keys.mint import IssuedKey, import_key, mint_key
from pikku_auth.flows.keys.revoke import (
    delete_key,
    disable_key,
    enable_key,
    find_key,
    rename_key,
    revoke_key,
)
from pikku_auth.flows.keys.rotate import mint_or_rotate, rotate_key
from pikku_auth.flows.keys.verify import averify_key, verify_key
from pikku_auth.flows.logins import live_logins, revoke_login
from pikku_auth.flows.notices import Warned, notify_expiring
from pikku_auth.flows.privileges import manageable, may_manage
from pikku_auth.flows.pruning import prune
from pikku_auth.flows.reapply import ExportedEvent, reapply_revocations
from pikku_auth.flows.service_users import (
    activate_service_user,
    create_service_user,
    deactivate_service_user,
    delete_service_user,
    describe_service_user,
    get_service_user,
)
from pikku_auth.flows.tickets import issue_session_ticket, issue_ticket

__all__ = [
    "AuditContext",
    "Bounds",
    "Delegation",
    "ExportedEvent",
    "IssuedKey",
    "Rate",
    "Warned",
    "aauthenticate",
    "activate_service_user",
    "arevalidate",
    "authenticate",
    "averify_key",
    "children_of",
    "create_service_user",
    "deactivate_service_user",
    "delete_key",
    "delete_service_user",
    "describe_service_user",
    "disable_key",
    "enable_key",
    "find_key",
    "forget_human",
    "get_service_user",
    "import_key",
    "is_service_user",
    "issue_session_ticket",
    "issue_ticket",
    "live_logins",
    "manageable",
    "may_manage",
    "mint_child",
    "mint_key",
    "mint_or_rotate",
    "notify_expiring",
    "prune",
    "reapply_revocations",
    "rename_key",
    "revalidate",
    "revoke_key",
    "revoke_login",
    "revoke_logins",
    "rotate_key",
    "set_key_bounds",
    "set_service_user_contacts",
    "set_service_user_scopes",
    "shorten_key",
    "verify_key",
]
