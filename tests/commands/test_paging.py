"""Lists of any length: read and written a page at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pikku_auth.flows import IssuedKey, create_service_user, revoke_login
from pikku_auth.management import listing
from pikku_auth.models import APIKey, AuditEvent
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]
Mint = Callable[..., IssuedKey]
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)


@pytest.fixture
def eight(mint: Mint) -> list[APIKey]:
    """Keys of which two and two expire at the same moment."""
    begin = datetime.now(UTC).replace(microsecond=7)
    ends = [5, 4, 4, 3, 6, 6, 1, 2]
    return [mint(name=f"k{end}", lifetime=end * DAY, now=begin).key for end in ends]


def listed(capsys: Output, *arguments: str) -> list[Any]:
    capsys.readouterr()
    call_command(*arguments, "--format", "json")
    found: list[Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("limit", [None, 1, 3, 4, 6, 8, 9])
def test_each_row_is_listed_once_and_in_order(
    eight: list[APIKey], capsys: Output, limit: int | None
) -> None:
    options = [] if limit is None else ["--limit", str(limit)]
    ids = [row["id"] for row in listed(capsys, "list_keys", *options)]
    assert ids == [key.pk for key in eight][:limit]


@pytest.mark.parametrize("limit", [None, 4, 5])
def test_rows_that_are_alike_in_what_they_are_sorted_by_are_kept_apart(
    eight: list[APIKey], capsys: Output, limit: int | None
) -> None:
    options = [] if limit is None else ["--limit", str(limit)]
    found = listed(capsys, "list_keys", "--expiring", "30d", *options)
    by_end = sorted(eight, key=lambda key: (key.expires_at, key.pk))
    assert [row["id"] for row in found] == [key.pk for key in by_end][:limit]


def test_no_statement_reads_more_than_a_page(eight: list[APIKey], capsys: Output) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert len(listed(capsys, "list_keys")) == 8
    pages = [query["sql"] for query in asked if "pikku_auth_apikey" in query["sql"]]
    assert ["LIMIT 3" in sql for sql in pages] == [True] * 3


def test_what_is_not_live_does_not_count_towards_the_limit(
    make_user: Callable[..., Any], capsys: Output
) -> None:
    ada = make_user("ada")
    logins = [logged_in(ada).login for _ in range(7)]
    for login in logins[2:6]:
        revoke_login(login)
    found = [row["id"] for row in listed(capsys, "list_logins", "--limit", "2")]
    assert found == [logins[6].pk, logins[1].pk]


def test_events_are_listed_the_newest_first(eight: list[APIKey], capsys: Output) -> None:
    newest = AuditEvent.objects.order_by("-at", "-pk").values_list("pk", flat=True)
    assert [row["id"] for row in listed(capsys, "list_events")] == [*newest]


def test_service_users_are_listed_by_name_with_their_live_keys(
    eight: list[APIKey], capsys: Output
) -> None:
    for name in ("b", "d", "a", "c", "z"):
        create_service_user(name)
    found = [(row["name"], row["live_keys"]) for row in listed(capsys, "list_service_users")]
    assert found == [("a", 0), ("b", 0), ("c", 0), ("d", 0), ("sandbox-runtime", 8), ("z", 0)]


def test_json_lines_are_an_object_a_line(eight: list[APIKey], capsys: Output) -> None:
    capsys.readouterr()
    call_command("list_keys", "--format", "jsonl")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [key.pk for key in eight]


@pytest.mark.parametrize(("style", "empty"), [("json", "[]\n"), ("jsonl", "")])
def test_no_rows_are_an_empty_answer(capsys: Output, style: str, empty: str) -> None:
    call_command("list_keys", "--format", style)
    assert capsys.readouterr().out == empty


def test_columns_are_sized_by_the_first_page_and_nothing_is_cut(mint: Mint, capsys: Output) -> None:
    names = ["short", "short", "short", "a name that is longer than the column"]
    for name in names:
        mint(name=name)
    capsys.readouterr()
    call_command("list_keys")
    head, *rows = capsys.readouterr().out.splitlines()
    assert all(f"  {name}  " in row for row, name in zip(rows, names, strict=True))
    assert head.index("SERVICE USER") == head.index("NAME") + len("short") + 2
