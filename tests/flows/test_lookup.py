"""A look-up by digest gives what the ORM gives, to the last field, and costs less."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Model
from django.db.models.signals import post_init, pre_init
from django.db.models.sql.compiler import SQLCompiler
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from pikku_auth.flows import IssuedKey, create_service_user, lookup
from pikku_auth.models import APIKey, ServiceUser
from tests.profiles import fewer

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
WITH_OWNER = ("service_user", "user")


@pytest.mark.parametrize("signal", [pre_init, post_init])
def test_who_listens_to_the_making_of_our_objects_hears_of_it(mint: Mint, signal: Any) -> None:
    issued, made = mint(), list[Any]()

    def note(**told: Any) -> None:
        made.append(told.get("instance", told["sender"]))

    signal.connect(note, sender=APIKey)
    try:
        assert picture(find(issued.key.digest)) == picture(by_the_orm(issued.key.digest))
    finally:
        signal.disconnect(note, sender=APIKey)
    assert len(made) == 2


def replaced_execute(patch: pytest.MonkeyPatch, note: Callable[[str], None]) -> None:
    """As Sentry does it."""
    original = CursorWrapper.execute

    @wraps(original)
    def execute(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        note(sql)
        return original(self, sql, params)

    patch.setattr(CursorWrapper, "execute", execute)


def replaced_cursor(patch: pytest.MonkeyPatch, note: Callable[[str], None]) -> None:
    """As django-debug-toolbar does it."""
    original = connection.cursor

    def cursor() -> Any:
        note("a cursor")
        return original()

    patch.setattr(connection, "cursor", cursor)


def replaced_cursor_of_all(patch: pytest.MonkeyPatch, note: Callable[[str], None]) -> None:
    original = BaseDatabaseWrapper.cursor

    def cursor(self: BaseDatabaseWrapper) -> Any:
        note("a cursor")
        return original(self)

    patch.setattr(BaseDatabaseWrapper, "cursor", cursor)


@pytest.mark.parametrize("replace", [replaced_execute, replaced_cursor, replaced_cursor_of_all])
def test_who_traces_statements_sees_ours(
    mint: Mint, monkeypatch: pytest.MonkeyPatch, replace: Callable[..., None]
) -> None:
    digest = mint().key.digest
    find(digest)
    seen: list[str] = []
    with monkeypatch.context() as patch:
        replace(patch, seen.append)
        assert find(digest) is not None
    find(digest)
    assert len(seen) == 1


@pytest.fixture(autouse=True)
def _nothing_is_prepared() -> None:
    lookup._forget()


def find(digest: str, *relations: str) -> APIKey | None:
    return lookup.find_by_digest(APIKey, digest, *(relations or WITH_OWNER), using="default")


def by_the_orm(digest: str, *relations: str) -> APIKey:
    rows = APIKey.objects.using("default").select_related("__".join(relations or WITH_OWNER))
    return rows.get(digest=digest)


def picture(instance: Any, *seen: Model) -> Any:
    """All that an instance is made of, its loaded relations included."""
    if instance is None or any(instance is one for one in seen):
        return [instance is one for one in seen]
    fields = {**vars(instance)}
    state = fields.pop("_state")
    return {
        "class": type(instance),
        "fields": {name: (type(value), repr(value)) for name, value in fields.items()},
        "state": (state.adding, state.db, getattr(state, "fetch_mode", None)),
        "related": {
            name: picture(related, instance, *seen) for name, related in state.fields_cache.items()
        },
    }


@pytest.fixture
def owners() -> list[ServiceUser]:
    """A living one, one who sleeps, and one whose Django user was deleted."""
    living, asleep, orphan = (
        create_service_user(name, description="ünï 😀 %s")
        for name in ("living", "asleep", "orphan")
    )
    users = get_user_model()._default_manager
    users.filter(pk=living.user_id).update(last_login=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    users.filter(pk=asleep.user_id).update(is_active=False)
    users.get(pk=orphan.user_id).delete()
    return list(ServiceUser.objects.all())


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
scalars = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | texts
json = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner | st.none(), max_size=3)
        | st.dictionaries(texts, inner | st.none(), max_size=3)
    ),
    max_leaves=6,
)
zones = st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")])
instants = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=zones)  # noqa: DTZ001 - hypothesis wants them naive
switches = st.datetimes(datetime(2026, 3, 29, 1), datetime(2026, 3, 29, 4), timezones=zones)  # noqa: DTZ001
moments = instants | switches
spans = st.timedeltas(timedelta(0), timedelta(days=10_000))
counts = st.integers(0, 2**31 - 1)


COLUMNS = st.fixed_dictionaries(
    {
        "name": texts,
        "permissions": json,
        "metadata": json,
        "networks": json,
        "created_at": moments,
        "enabled": st.booleans(),
        "window_calls": counts,
    },
    optional={
        "expires_at": moments,
        "revoked_at": moments,
        "revoke_reason": texts,
        "rotated_at": moments,
        "last_used_at": moments,
        "rate_count": counts,
        "rate_period": spans,
        "window_started_at": moments,
        "remaining": counts,
        "refill_count": counts,
        "refill_period": spans,
        "refilled_at": moments,
    },
)
"""What a row may have in its columns."""


@given(owner=st.integers(0, 2), has_creator=st.booleans(), columns=COLUMNS)
@fewer(50)
def test_a_row_is_what_the_orm_makes_of_it(
    owners: list[ServiceUser], owner: int, has_creator: bool, columns: dict[str, Any]
) -> None:
    digest = f"{APIKey.objects.count():064x}"
    APIKey.objects.create(
        digest=digest,
        service_user=owners[owner],
        created_by_id=owners[0].user_id if has_creator else None,
        rotated_from=APIKey.objects.last(),
        **columns,
    )
    assert picture(find(digest)) == picture(by_the_orm(digest))


@pytest.mark.parametrize("depth", [1, 2])
def test_the_relations_may_be_few(mint: Mint, depth: int) -> None:
    digest = mint().key.digest
    assert picture(find(digest, *WITH_OWNER[:depth])) == picture(
        by_the_orm(digest, *WITH_OWNER[:depth])
    )


def test_a_row_may_come_without_relations(mint: Mint) -> None:
    digest = mint().key.digest
    found = lookup.find_by_digest(APIKey, digest, using="default")
    assert picture(found) == picture(APIKey.objects.get(digest=digest))


def test_it_takes_one_query_and_the_relations_none(
    mint: Mint, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    issued = mint()
    with django_assert_num_queries(1):
        key = find(issued.key.digest)
        assert key is not None
        assert key.service_user.user.pikku_service_user is key.service_user


def test_of_a_deleted_user_nothing_is_asked(
    owners: list[ServiceUser], mint: Mint, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    issued = mint()
    ServiceUser.objects.get(pk=issued.key.service_user_id).user.delete()
    with django_assert_num_queries(1):
        key = find(issued.key.digest)
        assert key is not None
        assert key.service_user.user is None


@pytest.mark.parametrize("digest", ["0" * 64, "", "%s' OR 1=1 --"])
def test_a_digest_of_nobodys_finds_nothing(mint: Mint, digest: str) -> None:
    mint()
    assert find(digest) is None


def test_what_was_found_can_be_saved_read_again_and_pickled(mint: Mint) -> None:
    found, expected = find(digest := mint().key.digest), by_the_orm(digest)
    for key in (found, expected):
        assert key is not None
        key.name = "renamed"
        key.save()
        key.refresh_from_db(fields=["name", "permissions"])
    kept, expected = (pickle.loads(pickle.dumps(key)) for key in (found, expected))  # noqa: S301 - our own
    assert picture(kept) == picture(expected)


def test_whoever_watches_queries_sees_it(mint: Mint) -> None:
    issued, seen = mint(), []

    def watch(execute: Callable[..., Any], *args: Any) -> Any:
        seen.append(args)
        return execute(*args)

    with connection.execute_wrapper(watch):
        find(issued.key.digest)
    assert [params for _, params, *_ in seen] == [[issued.key.digest]]


def test_the_sql_is_made_once(mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = mint().key.digest, mint().key.digest
    expected = picture(by_the_orm(second))
    find(first)
    monkeypatch.delattr(SQLCompiler, "as_sql")
    assert picture(find(second)) == expected


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], int]]:
    """How often it was said that the look-up will be slow."""
    with caplog.at_level(logging.ERROR, logger="pikku_auth"):
        yield lambda: len([record for record in caplog.records if record.levelname == "ERROR"])


def test_what_cannot_be_prepared_is_left_to_the_orm_and_said_once(
    mint: Mint, logged: Callable[[], int]
) -> None:
    digest = mint().key.digest
    for _ in range(2):
        assert picture(find(digest, "successor")) == picture(by_the_orm(digest, "successor"))
    assert find("0" * 64, "successor") is None
    assert logged() == 1


def test_a_select_of_other_columns_is_left_to_the_orm(
    mint: Mint, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], int]
) -> None:
    digest = mint().key.digest
    original = SQLCompiler.get_default_columns

    def reversed_columns(self: SQLCompiler, *args: Any, **options: Any) -> Any:
        return original(self, *args, **options)[::-1]

    with monkeypatch.context() as patch:
        patch.setattr(SQLCompiler, "get_default_columns", reversed_columns)
        lookup._prepare(APIKey, WITH_OWNER, "default")
    assert picture(find(digest)) == picture(by_the_orm(digest))
    assert logged() == 1


def test_an_outage_while_preparing_is_not_remembered(
    mint: Mint, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], int]
) -> None:
    digest = mint().key.digest

    def down(_: SQLCompiler) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(SQLCompiler, "as_sql", down)
        with pytest.raises(OperationalError):
            find(digest)
    assert picture(find(digest)) == picture(by_the_orm(digest))
    assert lookup._prepare(APIKey, WITH_OWNER, "default") is not None
    assert logged() == 0


@pytest.mark.parametrize(
    "change",
    [{"USE_TZ": False}, {"AUTH_USER_MODEL": "auth.Group"}],
    ids=lambda change: next(iter(change)),
)
def test_changed_settings_are_heeded(mint: Mint, change: dict[str, Any]) -> None:
    digest = mint().key.digest
    with override_settings(**change):
        assert picture(find(digest)) == picture(by_the_orm(digest))
    assert picture(find(digest)) == picture(by_the_orm(digest))


@pytest.mark.django_db(transaction=True)
def test_what_one_thread_prepared_serves_another(mint: Mint) -> None:
    digest = mint().key.digest

    def find_elsewhere() -> Any:
        try:
            return picture(find(digest))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as elsewhere:
        assert elsewhere.submit(find_elsewhere).result() == picture(by_the_orm(digest))
    assert picture(find(digest)) == picture(by_the_orm(digest))
