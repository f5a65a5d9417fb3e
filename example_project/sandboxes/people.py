"""What a person's login may do: ``PIKKU_AUTH["LOGIN_SCOPES"]``."""

from __future__ import annotations

from django.contrib.auth.models import User

PERMISSION_FOR = {
    "sandbox:read": "sandboxes.view_sandbox",
    "sandbox:write": "sandboxes.add_sandbox",
    "auth:mint": "pikku_auth.mint_apikey",
    "auth:read": "pikku_auth.view_apikey",
}


def scopes_of(user: User) -> list[str]:
    """The scopes that go with the Django permissions which ``user`` has now.

    They are given and taken away in Django's admin; a superuser has them all.
    """
    return [scope for scope, perm in PERMISSION_FOR.items() if user.has_perm(perm)]
