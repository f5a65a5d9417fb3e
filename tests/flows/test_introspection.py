"""An introspection decides as a request would: of two keys alike, each is asked in one way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.http import HttpRequest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import InvalidToken, LimitExceeded, NotAuthenticated, Refused
from pikku_auth.flows import Delegation, IssuedKey, create_service_user, mint_key, revoke_login
from pikku_auth.flows.credentials import Credential, credential_of
from pikku_auth.flows.introspection import introspect
from pikku_auth.flows.keys.limits import COUNTERS
from pikku_auth.flows.keys.verify import count_call, principal_of_key, verify_digest
from pikku_auth.flows.logins import principal_of_login, verify_login
from pikku_auth.models import APIKey, LoginSession, ServiceUser
from pikku_auth.principal import Principal
from tests.logins import logged_in
from tests.profiles import fewer

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
REQUEST = HttpRequest()
_numbers = count()

moments = st.integers(-3, 3).map(lambda minutes: NOON + timedelta(minutes=minutes))
periods = st.sampled_from([timedelta(minutes=1), timedelta(minutes=2), timedelta(hours=1)])
addresses = st.sampled_from([None, "192.0.2.7", "198.51.100.7", "2001:db8::1"])
networks = st.lists(
    st.sampled_from(["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"]), max_size=2
)
few = st.integers(0, 2)

STATES = st.fixed_dictionaries(
    {
        "created_at": moments.filter(lambda moment: moment <= NOON),
        "enabled": st.sampled_from([True, True, True, False]),
        "is_suspended": st.sampled_from([False, False, False, True]),
        "networks": st.just([]) | networks,
        "parent_networks": st.just([]) | networks,
    },
    optional={"expires_at": moments, "revoked_at": moments},
)
RATES = st.fixed_dictionaries(
    {"rate_count": st.integers(1, 2), "rate_period": periods, "window_calls": few},
    optional={"window_started_at": moments},
)
QUOTAS = st.fixed_dictionaries({"remaining": few}, optional={"refilled_at": moments})
REFILLS = st.fixed_dictionaries({"refill_count": st.integers(1, 2), "refill_period": periods})
NONE = st.just(dict[str, Any]())
COLUMNS = st.tuples(STATES, NONE | RATES, NONE | QUOTAS, NONE | REFILLS).map(
    lambda parts: {name: value for part in parts for name, value in part.items()}
)
"""What a key may be at noon."""


@pytest.fixture
def caller(service_user: ServiceUser) -> Principal:
    scopes = ["auth:introspect", "auth:introspect_logins"]
    gateway = mint_key(
        create_service_user("gateway"), scopes=scopes, delegation=Delegation(("*",)), now=NOON
    )
    return principal_of_key(gateway.key)


def is_accepted(key: APIKey, ip: str | None, now: datetime) -> bool:
    try:
        verify_digest(key.digest, ip=ip, now=now)
    except Refused:
        return False
    return True


def counters(key: APIKey) -> list[Any]:
    return list(APIKey.objects.values_list(*COUNTERS).get(pk=key.pk))


@given(columns=COLUMNS, ip=addresses, later=st.lists(few, min_size=1, max_size=4).map(sorted))
@fewer(100)
def test_introspection_decides_and_counts_as_a_request_would(
    caller: Principal,
    service_user: ServiceUser,
    columns: dict[str, Any],
    ip: str | None,
    later: list[int],
) -> None:
    asked, used = [
        APIKey.objects.create(digest=f"{next(_numbers):064x}", service_user=service_user, **columns)
        for _ in range(2)
    ]
    presented = Credential("key", asked.digest, ip)
    for minutes in later:
        now = NOON + timedelta(minutes=minutes)
        before = counters(asked)
        seen = introspect(caller, presented, REQUEST, now=now)
        assert counters(asked) == before
        counted = introspect(caller, presented, REQUEST, count=True, now=now)
        is_active = is_accepted(used, ip, now)
        assert [seen is not None, counted is not None] == [is_active] * 2
        assert counters(asked) == counters(used)


@given(columns=st.fixed_dictionaries({}, optional={"expires_at": moments, "revoked_at": moments}))
@fewer(50)
def test_introspection_of_a_login_decides_as_a_request_would(
    caller: Principal, make_user: Callable[..., Any], columns: dict[str, Any]
) -> None:
    issued = logged_in(make_user(f"ada{next(_numbers)}"), now=NOON - timedelta(minutes=5))
    LoginSession.objects.filter(pk=issued.login.pk).update(**columns)
    digest = issued.login.digest
    try:
        verify_login(digest, now=NOON)
        is_good = True
    except InvalidToken:
        is_good = False
    presented = Credential("token", digest, None)
    assert (introspect(caller, presented, REQUEST, now=NOON) is not None) is is_good


def test_only_the_holder_of_a_key_may_ask(
    make_user: Callable[..., Any], mint: Callable[..., IssuedKey]
) -> None:
    issued = logged_in(make_user("root", is_superuser=True))
    presented = credential_of(mint().secret.reveal())
    for caller in (None, principal_of_login(issued.login)):
        with pytest.raises(NotAuthenticated):
            introspect(caller, presented, REQUEST)


def test_credential_of_a_text_is_of_one_kind(
    mint: Callable[..., IssuedKey], make_user: Callable[..., Any]
) -> None:
    key, login = mint(), logged_in(make_user("ada"))
    assert credential_of(key.secret.reveal()) == Credential("key", key.key.digest, None)
    assert credential_of(login.token.reveal(), "192.0.2.7") == Credential(
        "token", login.login.digest, "192.0.2.7"
    )
    for text in ("", "nonsense", "pks_bad", generate("pkt").reveal()):
        assert credential_of(text).digest is None


def test_principal_that_is_told_is_bounded(
    caller: Principal, mint: Callable[..., IssuedKey], make_user: Callable[..., Any]
) -> None:
    """As a request's: whoever goes on with it can't do more than the credential."""
    issued = mint(scopes=["perm:people.view_person"])
    found = introspect(caller, credential_of(issued.secret.reveal()), REQUEST)
    assert found is not None
    assert not found.user.has_perm("people.delete_person")
    login = logged_in(make_user("root", is_superuser=True), scope="perm:people.view_person")
    found = introspect(caller, credential_of(login.token.reveal()), REQUEST)
    assert found is not None
    assert not found.user.has_perm("people.delete_person")
    revoke_login(login.login)
    assert introspect(caller, credential_of(login.token.reveal()), REQUEST) is None


def test_a_call_that_another_has_taken_meanwhile_is_not_counted(mint: Callable[..., Any]) -> None:
    key, now = mint(quota=1).key, timezone.now()
    count_call(key, ip=None, now=now)
    with pytest.raises(LimitExceeded):
        count_call(key, ip=None, now=now)
