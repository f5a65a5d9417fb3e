"""A request with an id is carried out once, however often it is sent."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections, transaction

from pikku_auth.exceptions import PikkuAuthError, RequestDiffers, RequestRepeated, RequestRunning
from pikku_auth.flows import mint_key, prune
from pikku_auth.flows.request_ids import HeldRequest, once
from pikku_auth.flows.sweeping import sweep_requests
from pikku_auth.models import APIKey, ServiceUser, UsedRequest
from tests.conftest import dump_of_tables
from tests.processes import PATIENCE

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
Make = Callable[..., APIKey]


@pytest.fixture
def make(service_user: ServiceUser) -> Make:
    """Make a key as a request of ``caller`` with that id would."""

    def made(
        request_id: str | None = "7", body: str = "", caller: str = "ada", now: datetime = NOW
    ) -> APIKey:
        with once(caller, request_id, body, now) as held:
            issued = mint_key(service_user)
            held.made(issued.key)
        return issued.key

    return made


def test_a_repeat_is_told_what_the_first_has_made(make: Make) -> None:
    key = make()
    with pytest.raises(RequestRepeated) as caught:
        make(now=NOW + DAY - SECOND)
    assert caught.value.key == key
    assert APIKey.objects.count() == 1


def test_after_a_day_an_id_is_free_again(make: Make) -> None:
    assert make() != make(now=NOW + DAY)


def test_without_an_id_each_is_another_request(make: Make) -> None:
    assert make(None) != make(None)
    assert not UsedRequest.objects.exists()


def test_each_caller_has_ids_of_its_own(make: Make) -> None:
    assert make(caller="ada") != make(caller="grace")


def test_an_id_is_for_one_body(make: Make) -> None:
    make(body="a")
    with pytest.raises(RequestDiffers):
        make(body="b")


def test_while_one_runs_another_has_to_wait(make: Make) -> None:
    with once("ada", "7", "", NOW), pytest.raises(RequestRunning) as caught:
        make(now=NOW + MINUTE - SECOND)
    assert caught.value.retry_after == 1


def test_what_fails_leaves_the_id_free(make: Make) -> None:
    with suppress(KeyError), once("ada", "7", "", NOW) as held:
        held.made(make(None))
        raise KeyError
    assert not APIKey.objects.exists()
    assert make()


def test_what_was_killed_leaves_it_free_a_minute_later(make: Make) -> None:
    make()
    UsedRequest.objects.update(key=None)
    with pytest.raises(RequestRunning):
        make(now=NOW + MINUTE - SECOND)
    assert make(now=NOW + MINUTE)


def test_who_holds_the_id_no_more_makes_nothing(service_user: ServiceUser) -> None:
    late = HeldRequest("of an id that another request has by now", NOW)
    with pytest.raises(RequestRunning), transaction.atomic():
        late.made(mint_key(service_user).key)
    assert not APIKey.objects.exists()


def test_neither_the_id_nor_the_caller_nor_the_body_is_stored(make: Make) -> None:
    make("request-id-of-hers", "her body", "ada-lovelace")
    text = dump_of_tables()
    assert not [word for word in ("request-id-of", "her body", "ada-lovelace") if word in text]


def test_one_that_fails_at_this_moment_may_be_sent_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id was taken when this began, and is free when this looks who has it."""
    monkeypatch.setattr("pikku_auth.flows.request_ids._insert", lambda *_: False)
    with pytest.raises(RequestRunning):
        make()


def test_a_row_says_what_came_of_it(make: Make) -> None:
    key = make()
    assert str(UsedRequest.objects.get()) == f"{key} until 2026-12-02 12:00:00"


def test_what_is_over_is_forgotten_as_new_ones_come(make: Make) -> None:
    make("old")
    make("new", now=NOW + DAY + SECOND)
    assert UsedRequest.objects.count() == 1


def test_and_when_the_tables_are_pruned(make: Make) -> None:
    make()
    prune(keys_older_than=9 * DAY, events_older_than=9 * DAY, now=NOW + DAY + SECOND)
    assert not UsedRequest.objects.exists()
    sweep_requests(NOW, "default")


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_makes_a_key(make: Make) -> None:
    everyone = threading.Barrier(8, timeout=PATIENCE)

    def send(_: int) -> str:
        everyone.wait()
        try:
            return type(make()).__name__
        except PikkuAuthError as error:
            return type(error).__name__
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        counted = Counter(pool.map(send, range(8)))
    assert counted["APIKey"] == 1
    assert counted.keys() <= {"APIKey", "RequestRepeated", "RequestRunning"}
    assert APIKey.objects.count() == 1
