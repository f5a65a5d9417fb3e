"""With a cache, a credential costs no SQL, and what ends it holds at the next request."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import caches
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.checks.cache import cache_without_stamps
from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import NetworkNotAllowed, Refused
from pikku_auth.flows import (
    IssuedKey,
    deactivate_service_user,
    disable_key,
    enable_key,
    last_used,
    lookup,
    mint_key,
    prune,
    revoke_key,
    revoke_login,
    revoke_logins,
    rotate_key,
    set_key_bounds,
    set_service_user_scopes,
    verify_key,
)
from pikku_auth.flows.cache import rows, stamps
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.flows.last_used import RESOLUTION
from pikku_auth.flows.logins import token_digest, verify_login
from pikku_auth.models import APIKey, LoginSession, ServiceUser
from pikku_auth.principal import Principal
from tests.cache.conftest import RedisServer
from tests.logins import logged_in
from tests.profiles import fewer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]

Mint = Callable[..., IssuedKey]
MakeUser = Callable[..., Any]


@pytest.fixture
def issued(mint: Mint) -> IssuedKey:
    return mint(scopes=["sandbox:read"])


@pytest.fixture
def login(make_user: MakeUser) -> IssuedLogin:
    return logged_in(make_user("ada"))


def call(issued: IssuedKey | IssuedLogin, **options: Any) -> Principal:
    """One request's part of it, and what comes after its response."""
    secret = issued.secret.reveal() if isinstance(issued, IssuedKey) else issued.token.reveal()
    try:
        if isinstance(issued, IssuedKey):
            return verify_key(secret, **options)
        return verify_login(token_digest(secret), **options)
    finally:
        last_used.flush()


def statements(issued: IssuedKey | IssuedLogin) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        call(issued)
    return [query["sql"] for query in captured.captured_queries]


def warm(issued: IssuedKey | IssuedLogin) -> None:
    """Have this process keep it."""
    for _ in range(3):
        call(issued)
    assert statements(issued) == []


@pytest.mark.parametrize("kind", ["issued", "login"])
def test_what_is_kept_costs_no_sql(kind: str, request: pytest.FixtureRequest) -> None:
    warm(request.getfixturevalue(kind))


BACKENDS: dict[str, dict[str, Any]] = {
    "Django's with options": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "OPTIONS": {"socket_timeout": 30, "decode_responses": True, "max_connections": 2},
    },
    "Django's over a Unix socket": {"BACKEND": "django.core.cache.backends.redis.RedisCache"},
    "django-redis": {"BACKEND": "django_redis.cache.RedisCache"},
    "django-redis with options": {
        "BACKEND": "django_redis.cache.RedisCache",
        "OPTIONS": {"SOCKET_TIMEOUT": 30, "CONNECTION_POOL_KWARGS": {"max_connections": 2}},
        "KEY_PREFIX": "shop",
    },
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_backend_of_redis_can_be_named(
    issued: IssuedKey, redis: RedisServer, backend: str
) -> None:
    place = f"unix://{redis.path}" if "Unix" in backend else redis.url
    stamps_in = {**BACKENDS[backend], "LOCATION": place}
    with override_settings(CACHES={**caches.settings, "stamps": stamps_in}):
        warm(issued)
        revoke_key(issued.key)
        with pytest.raises(Refused):
            call(issued)
        assert list(cache_without_stamps()) == []


@pytest.mark.parametrize(
    "backend",
    ["locmem.LocMemCache", "dummy.DummyCache", "filebased.FileBasedCache", "db.DatabaseCache"],
)
def test_a_backend_that_can_not_keep_stamps_is_an_error(backend: str) -> None:
    unfit = {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": "nowhere"}
    with override_settings(CACHES={**caches.settings, "stamps": unfit}):
        (message,) = cache_without_stamps()
    assert message.id == "pikku_auth.E024"
    assert message.hint


def test_a_client_of_several_servers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of a cluster, which has no pool of connections to one of them."""
    stamps.client.cache_clear()
    backend: Any = caches["stamps"]
    monkeypatch.setattr(backend._cache, "get_client", lambda **_: object())
    (message,) = cache_without_stamps()
    assert message.id == "pikku_auth.E024"
    stamps.client.cache_clear()


def test_where_the_orm_does_the_look_up_nothing_is_kept(
    issued: IssuedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(lookup, "_prepare", lambda *_: None)
        for _ in range(4):
            call(issued)
        assert len(statements(issued)) == 1
        revoke_key(issued.key)
        with pytest.raises(Refused):
            call(issued)


@pytest.mark.django_db(transaction=True)
def test_what_is_saved_outside_of_a_transaction_holds_at_once(
    issued: IssuedKey, service_user: ServiceUser
) -> None:
    warm(issued)
    deactivate_user(service_user.user)
    with pytest.raises(Refused):
        call(issued)


def test_it_is_the_principal_that_the_database_would_give(issued: IssuedKey) -> None:
    by_the_database = call(issued)
    warm(issued)
    kept = call(issued)
    assert str(kept) == str(by_the_database)
    assert kept.permissions == by_the_database.permissions
    key: Any = kept.key
    fresh = APIKey.objects.select_related("service_user__user").get(pk=key.pk)
    for ours, theirs in [
        (key, fresh),
        (key.service_user, fresh.service_user),
        (kept.user, fresh.service_user.user),
    ]:
        for field in ours._meta.concrete_fields:
            assert getattr(ours, field.attname) == getattr(theirs, field.attname), field


def deactivate_user(row: Any) -> None:
    row.is_active = False
    row.save()


def change_password(user: Any) -> None:
    user.set_password("another-horse")
    user.save()


def make_staff(user: Any) -> None:
    user.is_staff = True
    user.save()


def overtake(key: APIKey) -> None:
    """As a host does that knows our model: no verb of ours is called."""
    key.revoked_at = datetime.now(UTC)
    key.save(update_fields=["revoked_at"])


ENDS_OF_A_KEY: dict[str, Callable[[APIKey], Any]] = {
    "revoked": revoke_key,
    "rotated without overlap": lambda key: rotate_key(key, overlap=None),
    "disabled": disable_key,
    "saved as revoked by the host": overtake,
    "deleted by the host": lambda key: key.delete(),
    "deleted in bulk by the host": lambda key: APIKey.objects.filter(pk=key.pk).delete(),
    "its service user deactivated": lambda key: deactivate_service_user(key.service_user),
    "its Django user deactivated": lambda key: deactivate_user(key.service_user.user),
    "its Django user made staff": lambda key: make_staff(key.service_user.user),
    "its Django user deleted": lambda key: key.service_user.user.delete(),
}


@pytest.mark.parametrize("end", ENDS_OF_A_KEY)
def test_what_ends_a_key_holds_at_its_next_request(
    issued: IssuedKey, end: str, django_capture_on_commit_callbacks: Any
) -> None:
    warm(issued)
    with django_capture_on_commit_callbacks(execute=True):
        ENDS_OF_A_KEY[end](APIKey.objects.get(pk=issued.key.pk))
    with pytest.raises(Refused):
        call(issued)


ENDS_OF_A_LOGIN: dict[str, Callable[[LoginSession], Any]] = {
    "revoked": revoke_login,
    "revoked with all of its human's": lambda login: revoke_logins(login.user),
    "deleted by the host": lambda login: login.delete(),
    "its human deactivated": lambda login: deactivate_user(login.user),
    "its human's password changed": lambda login: change_password(login.user),
    "its human deleted": lambda login: login.user.delete(),
}


@pytest.mark.parametrize("end", ENDS_OF_A_LOGIN)
def test_what_ends_a_login_holds_at_its_next_request(
    login: IssuedLogin, end: str, django_capture_on_commit_callbacks: Any
) -> None:
    warm(login)
    with django_capture_on_commit_callbacks(execute=True):
        ENDS_OF_A_LOGIN[end](LoginSession.objects.get(pk=login.login.pk))
    with pytest.raises(Refused):
        call(login)


def test_a_key_that_expires_is_refused_from_that_moment_on(mint: Mint) -> None:
    issued = mint(lifetime=timedelta(hours=1))
    warm(issued)
    expires_at: Any = issued.key.expires_at
    call(issued, now=expires_at - timedelta(microseconds=1))
    with pytest.raises(Refused):
        call(issued, now=expires_at)


def test_a_key_is_narrowed_at_its_next_request(issued: IssuedKey, service_user: Any) -> None:
    warm(issued)
    set_service_user_scopes(service_user, ["sandbox:write"])
    assert call(issued).scopes == []
    set_key_bounds(issued.key, networks=["192.0.2.0/24"])
    with pytest.raises(NetworkNotAllowed):
        call(issued, ip="198.51.100.1")


def test_a_key_that_is_enabled_works_at_its_next_request(issued: IssuedKey) -> None:
    disable_key(issued.key)
    for _ in range(3):
        with pytest.raises(Refused):
            call(issued)
    enable_key(issued.key)
    call(issued)


def test_a_key_follows_its_service_user_to_another_django_user(
    issued: IssuedKey, service_user: ServiceUser, make_user: MakeUser
) -> None:
    warm(issued)
    service_user.user = another = make_user("another")
    service_user.save()
    warm(issued)
    assert call(issued).user == another
    deactivate_user(another)
    with pytest.raises(Refused):
        call(issued)


def test_minting_another_key_leaves_those_of_the_service_user_kept(
    issued: IssuedKey, mint: Mint
) -> None:
    warm(issued)
    mint()
    assert statements(issued) == []


def test_what_a_host_does_to_a_caller_is_not_seen_by_the_next_request(mint: Mint) -> None:
    issued = mint(metadata={"sandbox": {"id": "sb-1"}})
    for _ in range(4):  # also the request whose row is kept
        user, key = (principal := call(issued)).user, principal.key
        assert key is not None
        assert not hasattr(user, "of_this_request")
        assert key.metadata == {"sandbox": {"id": "sb-1"}}
        assert key.networks == []
        user.of_this_request = True  # type: ignore[attr-defined]
        key.metadata["sandbox"]["id"] = "sb-2"
        key.networks.append("192.0.2.0/24")


def test_a_row_with_a_value_that_can_not_be_copied_is_read_each_time(
    issued: IssuedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a lock, in a field of the host's user."""
    original = lookup.read_row

    def with_a_lock(*args: Any, **options: Any) -> Any:
        row = original(*args, **options)
        return row and row._replace(values=[*row.values, Lock()])

    monkeypatch.setattr(lookup, "read_row", with_a_lock)
    for _ in range(4):
        call(issued)
    assert [kept.row for kept in rows._kept.values()] == [None]


@pytest.mark.django_db(transaction=True)
def test_what_a_transaction_has_read_is_not_kept(issued: IssuedKey) -> None:
    """It may be what the transaction itself has changed, and takes back."""
    if connection.vendor == "sqlite":
        pytest.skip("there it is read outside of the transaction")
    for _ in range(5):
        with transaction.atomic():
            call(issued)
    assert rows._kept == {}


def test_what_is_kept_is_good_in_a_transaction_too(issued: IssuedKey) -> None:
    warm(issued)
    with transaction.atomic():
        assert statements(issued) == []


def test_a_key_whose_calls_are_counted_is_read_each_time(mint: Mint) -> None:
    issued = mint(quota=5)
    for _ in range(5):
        call(issued)
    with pytest.raises(Refused):
        call(issued)
    assert rows._kept == {}


def test_nothing_is_kept_of_a_key_that_does_not_exist(redis: RedisServer) -> None:
    for _ in range(500):
        with pytest.raises(Refused):
            verify_key(generate("pka").reveal())
    assert rows._kept == {}
    assert redis.client.dbsize() == 0


def test_no_more_is_kept_than_a_process_may(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MOST", 3)
    keys = [mint() for _ in range(5)]
    for issued in keys:
        warm(issued)
    assert len(rows._kept) == 3
    assert statements(keys[-1]) == []


def test_a_change_that_no_signal_tells_of_is_seen_after_half_a_minute(
    issued: IssuedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm(issued)
    get_user_model()._default_manager.update(is_active=False)
    call(issued)
    later = stamps.LIFETIME.total_seconds()
    monotonic = rows.time.monotonic
    monkeypatch.setattr(rows.time, "monotonic", lambda: monotonic() + later)
    with pytest.raises(Refused):
        call(issued)


def test_a_row_that_changes_while_it_is_read_is_not_kept(
    issued: IssuedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is under the stamps from before it was read."""
    call(issued)
    original = lookup.read_row

    def read_and_be_overtaken(*args: Any, **options: Any) -> Any:
        row = original(*args, **options)
        revoke_key(APIKey.objects.get(pk=issued.key.pk))
        return row

    with monkeypatch.context() as patch:
        patch.setattr(lookup, "read_row", read_and_be_overtaken)
        call(issued)
    with pytest.raises(Refused):
        call(issued)


def test_a_hot_key_is_written_once_a_minute_though_its_row_is_kept(issued: IssuedKey) -> None:
    warm(issued)
    now = datetime.now(UTC) + 2 * RESOLUTION
    with CaptureQueriesContext(connection) as captured:
        for _ in range(10):
            call(issued, now=now)
    written = [query["sql"] for query in captured.captured_queries if "UPDATE" in query["sql"][:6]]
    assert len(written) == 1
    assert APIKey.objects.get().last_used_at == now


def test_pruned_keys_are_refused(issued: IssuedKey) -> None:
    warm(issued)
    expires_at: Any = issued.key.expires_at
    year = timedelta(days=365)
    prune(keys_older_than=timedelta(0), events_older_than=year, now=expires_at + year)
    with pytest.raises(Refused):
        call(issued)


class Touch:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


BYTES = st.one_of(
    st.binary(max_size=40), st.binary(min_size=16, max_size=16), st.just(b"1"), st.just(b"PICKLE")
)


@fewer(50)
@given(values=st.lists(BYTES, min_size=1, max_size=4))
def test_who_writes_to_redis_can_only_make_us_ask_the_database(
    values: list[bytes], redis: RedisServer, mint: Mint, tmp_path: Path
) -> None:
    issued, dead = mint(), mint()
    for one in (issued, dead):
        warm(one)
    revoke_key(dead.key)
    run = tmp_path / "run"
    pickled = pickle.dumps(Touch(run))
    for name, value in zip(list(redis.client.scan_iter()), cycle(values), strict=False):
        redis.client.set(name, pickled if value == b"PICKLE" else value)
    for _ in range(4):
        call(issued)
        with pytest.raises(Refused):
            call(dead)
    assert statements(issued) == []
    assert not run.exists()


def test_redis_has_no_secret_no_name_and_no_id(
    redis: RedisServer, issued: IssuedKey, service_user: ServiceUser
) -> None:
    warm(issued)
    names = redis.client.keys()
    assert len(names) == 3  # of the key, its service user, and its Django user
    for name in names:
        assert len(redis.client.get(name)) == 16
        assert redis.client.ttl(name) > 0
        for word in (issued.key.digest, issued.key.preview, service_user.name):
            assert word.encode() not in name


def test_another_application_on_the_same_redis_has_stamps_of_its_own(issued: IssuedKey) -> None:
    names = stamps.names_of(issued.key)
    caches["stamps"].key_prefix = "another"
    assert stamps.names_of(issued.key) != names
    caches["stamps"].key_prefix = ""


def test_rows_of_a_search_path_that_changes_are_not_kept(
    issued: IssuedKey, caplog: pytest.LogCaptureFixture
) -> None:
    """In memory, the tenants of one digest could not be told apart."""
    if connection.vendor != "postgresql":
        pytest.skip("no other database has one")
    warm(issued)
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = public, pg_catalog")
        call(mint_key("sandbox-runtime"))
        cursor.execute("RESET search_path")
    assert "search_path" in caplog.text
    assert len(statements(issued)) == 1
    assert rows._kept == {}
