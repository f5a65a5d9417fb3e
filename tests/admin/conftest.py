"""Members of staff and their browsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.logins import browser_of

Staff = Callable[..., Client]


@pytest.fixture
def staff(make_user: Callable[..., Any]) -> Staff:
    """The browser of a member of staff who has these permissions of ours."""

    def sign_in(*codenames: str, name: str = "staff") -> Client:
        user = make_user(name, is_staff=True)
        ours = Permission.objects.filter(content_type__app_label="pikku_auth")
        chosen = ours.filter(codename__in=codenames)
        assert chosen.count() == len(codenames)
        user.user_permissions.set(chosen)
        return browser_of(user)

    return sign_in


@pytest.fixture
def superuser(make_user: Callable[..., Any]) -> Client:
    """The browser of somebody who may do everything."""
    return browser_of(make_user("root", is_staff=True, is_superuser=True))
