"""What docs/scopes.md shows, as a host's ``LOGIN_SCOPES``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission

from pikku_auth import checks
from pikku_auth.core.permissions import AUTH_ACTIONS, scope_strings
from pikku_auth.exceptions import NothingGranted
from pikku_auth.flows.device_flow import approve
from pikku_auth.flows.login_scopes import offer_to
from tests.conftest import pikku_settings
from tests.docs.pages import examples, run, text_of
from tests.logins import logged_in, row_of, started_and_claimed

pytestmark = pytest.mark.django_db

MakeUser = Callable[..., Any]
DEVELOPER = ["sandbox:read", "sandbox:write"]


@pytest.fixture(autouse=True)
def _myproject(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module of the page."""
    from_groups, _, from_permissions, _, only_developers = examples("scopes.md")
    module = ModuleType("myproject.scopes")
    monkeypatch.setitem(sys.modules, "myproject", ModuleType("myproject"))
    monkeypatch.setitem(sys.modules, "myproject.scopes", module)
    for example in (from_groups, from_permissions, only_developers):
        run(example, vars(module))


def setting(number: int) -> Any:
    return pikku_settings(**run(examples("scopes.md")[number], {})["PIKKU_AUTH"])


def test_groups_give_scopes(make_user: MakeUser) -> None:
    user = make_user()
    with setting(1):
        assert checks.check_settings() == []
        assert logged_in(user).login.scopes == ["perm:*"]
        user.groups.add(Group.objects.create(name="support"))
        assert logged_in(user).login.scopes == ["perm:*", "sandbox:read"]
        user.groups.add(Group.objects.create(name="developers"))
        assert logged_in(user).login.scopes == ["perm:*", *DEVELOPER]
        assert logged_in(make_user("root", is_superuser=True)).login.scopes == ["*"]


def test_permissions_give_scopes(make_user: MakeUser) -> None:
    user = make_user()
    user.user_permissions.add(Permission.objects.get(codename="view_sandbox"))
    with pikku_settings(LOGIN_SCOPES="myproject.scopes.from_permissions"):
        assert logged_in(user).login.scopes == ["perm:*", "sandbox:read"]
        everything = logged_in(make_user("root", is_superuser=True)).login.scopes
        assert everything == ["perm:*", *DEVELOPER]


def test_list_is_for_everybody(make_user: MakeUser) -> None:
    with setting(3):
        assert checks.check_settings() == []
        assert logged_in(make_user()).login.scopes == ["perm:*", "sandbox:read"]


def test_function_keeps_others_out(make_user: MakeUser) -> None:
    user = make_user()
    with pikku_settings(LOGIN_SCOPES="myproject.scopes.only_developers"):
        with pytest.raises(NothingGranted):
            approve(row_of(started_and_claimed(user)), user)
        user.groups.add(Group.objects.create(name="developers"))
        assert logged_in(user).login.scopes == DEVELOPER


ROW = re.compile(r"^\| (`[^|]+`|no scope) \| (`[^|]+`) \| (`[^|]+`|nothing[^|]+) \|$", re.MULTILINE)
TABLE = ROW.findall(text_of("scopes.md"))


def test_table_is_found() -> None:
    assert len(TABLE) == 7


KEY_SCOPES = re.findall(
    r"^\| (`auth:[^|]+) \| (?:`pikku_auth\.(\w+)`|they are for machines[^|]+) \|$",
    text_of("scopes.md"),
    re.MULTILINE,
)


def test_scopes_that_manage_keys_take_the_permissions_of_the_table(make_user: MakeUser) -> None:
    told = {scope: name for scopes, name in KEY_SCOPES for scope in re.findall(r"[\w:]+", scopes)}
    assert sorted(told) == [f"auth:{action}" for action in AUTH_ACTIONS]
    given = pikku_settings(LOGIN_SCOPES=["auth:*"])
    for name in {*told.values()}:
        user = make_user(f"user-{name}")
        user.user_permissions.set(Permission.objects.filter(codename=name))
        with given:
            offer = offer_to(user, {"auth": ["*"]})
        assert scope_strings(offer.permissions) == [
            scope for scope in sorted(told) if name and told[scope] == name
        ]


@pytest.mark.parametrize(("asked", "given", "granted"), TABLE)
def test_table_is_true(asked: str, given: str, granted: str, make_user: MakeUser) -> None:
    user, scope = make_user(), "" if asked == "no scope" else asked.strip("`")
    with pikku_settings(LOGIN_SCOPES=given.strip("`").split()):
        if granted.startswith("nothing"):
            with pytest.raises(NothingGranted):
                logged_in(user, scope=scope)
        else:
            scopes = logged_in(user, scope=scope).login.scopes
            assert sorted(scopes) == sorted(granted.strip("`").split())
