"""The admin: see, mint, rotate and revoke keys, and find out who did what."""

from __future__ import annotations

from pikku_auth.admin.audit import AuditEventAdmin
from pikku_auth.admin.keys import APIKeyAdmin
from pikku_auth.admin.logins import LoginSessionAdmin
from pikku_auth.admin.service_users import ServiceUserAdmin

__all__ = ["APIKeyAdmin", "AuditEventAdmin", "LoginSessionAdmin", "ServiceUserAdmin"]
