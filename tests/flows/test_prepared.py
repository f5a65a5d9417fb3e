"""The look-up on PostgreSQL where the host lets psycopg prepare statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from pikku_auth.exceptions import Unavailable
from pikku_auth.flows import IssuedKey, lookup, verify_key
from tests.docs.pages import examples, run
from tests.flows.test_lookup import by_the_orm, find, picture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="psycopg prepares statements"),
]

Mint = Callable[..., IssuedKey]


@pytest.fixture(autouse=True)
def _prepares_at_once() -> Iterator[None]:
    """The host's connection, made anew with the option."""
    connection.close()
    options = connection.settings_dict["OPTIONS"]
    connection.settings_dict["OPTIONS"] = {**options, "prepare_threshold": 0}
    lookup._forget()
    yield
    connection.close()
    connection.settings_dict["OPTIONS"] = options
    lookup._forget()


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


def elsewhere(sql: str) -> None:
    """Run a statement on another connection, as a migration does."""

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)
        connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join()


@pytest.fixture
def migrate_users() -> Iterator[Callable[[], None]]:
    """A migration of the users' table under a running process: their passwords get longer."""
    table = connection.ops.quote_name(get_user_model()._meta.db_table)
    change = f"ALTER TABLE {table} ALTER COLUMN password TYPE varchar(%d)"
    yield lambda: elsewhere(change % 200)
    elsewhere(change % 128)


def test_the_look_up_is_prepared_and_no_other_statement_is(mint: Mint) -> None:
    issued = mint()
    for _ in range(3):
        assert by_the_orm(issued.key.digest)
        assert find(issued.key.digest)
    (statement,) = prepared()
    assert "LATERAL" in statement
    assert "$1" in statement


def test_it_finds_what_the_orm_finds(mint: Mint) -> None:
    issued = mint(
        scopes=["sandbox:read"],
        metadata={"a": ["ü", None, 2.5]},
        networks=["192.0.2.0/24"],
        quota=7,
    )
    for _ in range(2):
        found = find(issued.key.digest)
        expected = by_the_orm(issued.key.digest)
        assert picture(found)["fields"] == picture(expected)["fields"]
        assert picture(found)["related"].keys() == picture(expected)["related"].keys()
    assert find("0" * 64) is None


def test_without_the_option_nothing_is_prepared(mint: Mint) -> None:
    connection.close()
    connection.settings_dict["OPTIONS"] = {
        **connection.settings_dict["OPTIONS"], "prepare_threshold": None
    }  # fmt: skip
    for _ in range(7):
        assert find(mint().key.digest)
    assert prepared() == []


def test_the_option_of_the_documentation_prepares_it(mint: Mint) -> None:
    connection.close()
    (setting,) = [code for code in examples("performance.md") if "prepare_threshold" in code]
    run(setting, {"DATABASES": {"default": connection.settings_dict}})
    digest = mint().key.digest
    for _ in range(7):
        assert find(digest)
    assert len(prepared()) == 1


def test_whoever_watches_queries_sees_it(mint: Mint) -> None:
    digest = mint().key.digest
    with CaptureQueriesContext(connection) as asked:
        find(digest)
    assert len(asked) == 1
    assert digest in asked[0]["sql"]


def test_a_plan_that_a_migration_breaks_is_replaced(
    mint: Mint, migrate_users: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    secret = mint().secret.reveal()
    assert verify_key(secret)
    migrate_users()
    with caplog.at_level("INFO", "pikku_auth"):
        assert verify_key(secret)
    assert "cached plan must not change result type" in caplog.text
    caplog.clear()
    assert verify_key(secret)
    assert not caplog.records


def test_in_a_transaction_it_is_an_outage_of_that_request_alone(
    mint: Mint, migrate_users: Callable[[], None]
) -> None:
    issued = mint()
    assert find(issued.key.digest)
    migrate_users()
    with pytest.raises(Unavailable) as refusal, transaction.atomic():
        find(issued.key.digest)
    assert refusal.value.retry_after
    with transaction.atomic():
        assert find(issued.key.digest)


@pytest.mark.parametrize("threshold", [0, None])
def test_a_connection_that_the_server_has_closed_is_an_outage_of_one_request(
    mint: Mint, threshold: int | None
) -> None:
    connection.close()
    connection.settings_dict["OPTIONS"]["prepare_threshold"] = threshold
    secret = mint().secret.reveal()
    assert verify_key(secret)
    driver: Any = connection.connection
    elsewhere(f"SELECT pg_terminate_backend({driver.info.backend_pid})")
    with pytest.raises(Unavailable):
        verify_key(secret)
    connection.close_if_unusable_or_obsolete()  # as Django does after each request
    assert verify_key(secret)


def test_a_connection_that_is_checked_is_made_anew_before_the_look_up(mint: Mint) -> None:
    """``CONN_HEALTH_CHECKS``, after a restart of the server."""
    secret = mint().secret.reveal()
    assert verify_key(secret)
    driver: Any = connection.connection
    elsewhere(f"SELECT pg_terminate_backend({driver.info.backend_pid})")
    connection.health_check_enabled, connection.health_check_done = True, False
    assert verify_key(secret)


def test_a_cursor_is_kept_with_its_connection_unless_threads_share_that(mint: Mint) -> None:
    digest = mint().key.digest

    def cursors() -> int:
        return len(getattr(connection.connection, lookup._CURSORS, {}))

    connection.inc_thread_sharing()
    try:
        assert find(digest)
        assert cursors() == 0
    finally:
        connection.dec_thread_sharing()
    for _ in range(3):
        assert find(digest)
    assert cursors() == 1
    connection.close()
    assert find(digest)
    assert cursors() == 1


def test_a_new_connection_prepares_anew(mint: Mint) -> None:
    issued = mint()
    find(issued.key.digest)
    connection.close()
    assert prepared() == []
    assert find(issued.key.digest)
    assert len(prepared()) == 1


def test_rows_come_from_the_schema_in_use(mint: Mint) -> None:
    digest = mint().key.digest
    assert find(digest)
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS pikku_auth_other")
        for table in ("pikku_auth_apikey", "pikku_auth_serviceuser"):
            cursor.execute(f"CREATE TABLE IF NOT EXISTS pikku_auth_other.{table} (LIKE {table})")
        try:
            cursor.execute("SET search_path TO pikku_auth_other, public")
            assert find(digest) is None
            cursor.execute("SET search_path TO public")
            assert find(digest)
        finally:
            cursor.execute("SET search_path TO DEFAULT")
            cursor.execute("DROP SCHEMA pikku_auth_other CASCADE")
