"""What a key may do with a view that demands no scope, whichever integration serves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pikku_auth.flows import mint_key
from pikku_auth.models import ServiceUser
from tests.conftest import pikku_settings
from tests.integrations.decision import NOBODY, NOT_FOR_KEYS, Decision, missing
from tests.integrations.test_one_decision import (
    everywhere,
    key_decision,
    key_header,
    login_decision,
    login_header,
)
from tests.integrations.ways_in import (
    BLIND_INTEGRATIONS,
    MARKED_INTEGRATIONS,
    SCOPED_INTEGRATIONS,
    UNSCOPED_INTEGRATIONS,
    WANTED,
)
from tests.logins import browser_of, logged_in

pytestmark = pytest.mark.django_db(transaction=True)

Caller = tuple[tuple[str, str], Decision, bool]
"""The header, the decision where it is let in, and whether it has ``WANTED``."""

CALLERS = ["a key with no scope", "a key with the scope", "a key with every scope", "a login"]


@pytest.fixture(params=CALLERS)
def caller(
    request: pytest.FixtureRequest, service_user: ServiceUser, make_user: Callable[..., Any]
) -> Caller:
    """Whoever has a credential with scopes."""
    if request.param == "a login":
        login = logged_in(make_user("ada"), scope="sandbox:read")
        return login_header(login), login_decision(login), False
    scopes = {CALLERS[0]: [], CALLERS[1]: [WANTED], CALLERS[2]: ["*"]}[request.param]
    issued = mint_key(service_user, scopes=scopes)
    return key_header(issued), key_decision(issued), bool(scopes)


def test_view_that_demands_no_scope_is_closed(caller: Caller) -> None:
    header, _, _ = caller
    everywhere([header], NOT_FOR_KEYS, UNSCOPED_INTEGRATIONS)
    everywhere([header], NOBODY, BLIND_INTEGRATIONS)


def test_marked_view_is_open(caller: Caller) -> None:
    header, let_in, _ = caller
    everywhere([header], let_in, MARKED_INTEGRATIONS)


def test_view_that_demands_a_scope_decides_by_it(caller: Caller) -> None:
    header, let_in, has_scope = caller
    scheme = "ApiKey" if header[0] == "x-api-key" else "Bearer"
    everywhere([header], let_in if has_scope else missing(WANTED, scheme), SCOPED_INTEGRATIONS)


def test_every_view_is_open_where_the_setting_says_so(caller: Caller) -> None:
    header, let_in, _ = caller
    with pikku_settings(UNSCOPED_VIEWS="open"):
        everywhere(
            [header], let_in, UNSCOPED_INTEGRATIONS | BLIND_INTEGRATIONS | MARKED_INTEGRATIONS
        )


def test_login_that_asked_for_no_scopes_is_let_in(make_user: Callable[..., Any]) -> None:
    login = logged_in(make_user("ada"))
    integrations = UNSCOPED_INTEGRATIONS | BLIND_INTEGRATIONS | MARKED_INTEGRATIONS
    everywhere([login_header(login)], login_decision(login), integrations)


def test_session_beside_a_key_does_not_open_a_closed_view(
    caller: Caller, make_user: Callable[..., Any]
) -> None:
    header, _, _ = caller
    cookies = browser_of(make_user("grace")).cookies
    cookie = ("Cookie", "; ".join(f"{name}={c.value}" for name, c in cookies.items()))
    everywhere([header, cookie], NOT_FOR_KEYS, UNSCOPED_INTEGRATIONS)
    everywhere([header, cookie], NOBODY, BLIND_INTEGRATIONS)
