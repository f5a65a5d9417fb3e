"""One audit row for each act, in the act's own transaction, for ever readable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models.signals import pre_save

from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    activate_service_user,
    create_service_user,
    deactivate_service_user,
    disable_key,
    enable_key,
    import_key,
    mint_key,
    mint_or_rotate,
    prune,
    revoke_key,
    rotate_key,
)
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.conftest import dump_of_tables

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Act(NamedTuple):
    """A verb applied to a key or its owner, and the rows it must leave, in their order."""

    do: Callable[..., object]
    rows: list[str]
    before: Callable[[APIKey], object] = lambda key: None


ACTS = {
    "create": Act(
        lambda key, **how: create_service_user("builder", **how), ["service_user_created"]
    ),
    "deactivate": Act(
        lambda key, **how: deactivate_service_user(key.service_user, **how),
        ["service_user_deactivated"],
    ),
    "activate": Act(
        lambda key, **how: activate_service_user(key.service_user, **how),
        ["service_user_activated"],
        before=lambda key: deactivate_service_user(key.service_user),
    ),
    "mint": Act(lambda key, **how: mint_key(key.service_user, **how), ["key_minted"]),
    "import": Act(
        lambda key, **how: import_key(key.service_user, digest="a" * 64, preview="sk", **how),
        ["key_imported"],
    ),
    "disable": Act(disable_key, ["key_disabled"]),
    "enable": Act(enable_key, ["key_enabled"], before=disable_key),
    "revoke": Act(revoke_key, ["key_revoked"]),
    "rotate": Act(
        lambda key, **how: rotate_key(key, overlap=HOUR, **how), ["key_rotated", "key_minted"]
    ),
    "rotate at once": Act(
        lambda key, **how: rotate_key(key, overlap=None, **how),
        ["key_rotated", "key_minted", "key_revoked"],
    ),
    "mint or rotate": Act(
        lambda key, **how: mint_or_rotate(key.service_user, name="ci", overlap=HOUR, **how),
        ["key_rotated", "key_minted"],
    ),
}
each_act = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)


class Broken(Exception):
    """The audit row can't be written."""


@contextmanager
def broken_audit(action: str) -> Iterator[None]:
    def refuse(instance: AuditEvent, **kwargs: object) -> None:
        if instance.action == action:
            raise Broken

    pre_save.connect(refuse, sender=AuditEvent)
    try:
        yield
    finally:
        pre_save.disconnect(refuse, sender=AuditEvent)


@pytest.fixture
def key(mint: Callable[..., IssuedKey]) -> APIKey:
    return mint(name="ci", lifetime=None).key


@each_act
def test_each_act_leaves_its_rows_with_who_when_where_and_from_which_source(
    key: APIKey, make_user: Callable[..., Any], act: Act
) -> None:
    ada = make_user("ada")
    act.before(key)
    last = AuditEvent.objects.latest("pk").pk
    context = AuditContext(source="admin", actor=ada, ip="2001:db8::7", user_agent="Firefox/150")
    act.do(key, context=context, now=NOW)
    events = AuditEvent.objects.filter(pk__gt=last).order_by("pk")
    assert [event.action for event in events] == act.rows
    for event in events:
        assert (event.actor, event.actor_name) == (ada, ada.get_username())
        assert (event.source, event.ip, event.user_agent) == ("admin", "2001:db8::7", "Firefox/150")
        assert event.at == NOW


@pytest.mark.parametrize(
    ("act", "row"),
    [pytest.param(act, row, id=f"{name}: {row}") for name, act in ACTS.items() for row in act.rows],
)
def test_an_act_that_cannot_be_recorded_does_not_happen(key: APIKey, act: Act, row: str) -> None:
    act.before(key)
    before = dump_of_tables()
    with broken_audit(row), pytest.raises(Broken):
        act.do(key)
    assert dump_of_tables() == before


def test_an_act_that_changes_nothing_is_not_recorded(key: APIKey) -> None:
    disable_key(key)
    revoke_key(key)
    before = AuditEvent.objects.count()
    revoke_key(key)
    enable_key(key)
    disable_key(key)
    activate_service_user(key.service_user)
    with pytest.raises(InvalidInput):
        create_service_user(key.service_user.name)
    with pytest.raises(InvalidInput):
        rotate_key(key, overlap=HOUR)
    assert AuditEvent.objects.count() == before


def test_code_acts_without_a_name_unless_it_gives_one(service_user: ServiceUser) -> None:
    event = AuditEvent.objects.get()
    assert (event.source, event.actor, event.actor_name) == ("code", None, "")
    assert (event.ip, event.user_agent) == (None, "")


def test_a_source_of_the_hosts_own_is_kept_to_the_length_of_its_column(key: APIKey) -> None:
    revoke_key(key, context=AuditContext(source="the nightly reconciliation"))
    assert AuditEvent.objects.latest("pk").source == "the nightly reconcil"


def test_a_source_without_users_may_name_the_actor(key: APIKey) -> None:
    revoke_key(key, context=AuditContext(source="command", actor_name="root"))
    event = AuditEvent.objects.latest("pk")
    assert (event.source, event.actor, event.actor_name) == ("command", None, "root")


def test_control_characters_are_stripped(key: APIKey) -> None:
    revoke_key(
        key, context=AuditContext(actor_name="ro\x1b[2Jot\0", user_agent="curl/8\r\nForged: 1")
    )
    event = AuditEvent.objects.latest("pk")
    assert (event.actor_name, event.user_agent) == ("ro[2Jot", "curl/8Forged: 1")


def test_what_is_too_long_is_cut(service_user: ServiceUser) -> None:
    owner = create_service_user("o" * 100)
    mint_key(
        owner, name="n" * 200, context=AuditContext(actor_name="a" * 300, user_agent="u" * 300)
    )
    event = AuditEvent.objects.latest("pk")
    assert (event.actor_name, event.user_agent) == ("a" * 254, "u" * 200)
    assert len(event.subject) == 300


def test_a_row_says_what_was_granted(service_user: ServiceUser) -> None:
    mint_key(
        service_user,
        scopes=["sandbox:read"],
        lifetime=DAY,
        rate=Rate(1, DAY),
        now=NOW,
    )
    assert AuditEvent.objects.latest("pk").details == {
        "scopes": ["sandbox:read"],
        "expires_at": "2026-12-02T12:00:00+00:00",
        "rotated_from": None,
    }


def test_a_row_says_which_successor_and_how_long_the_overlap(key: APIKey) -> None:
    successor = rotate_key(key, overlap=HOUR).key
    rotated = AuditEvent.objects.get(action="key_rotated")
    assert rotated.details == {"successor": successor.pk, "overlap_seconds": 3600}
    assert AuditEvent.objects.get(key=successor).details["rotated_from"] == key.pk


def test_a_rotation_at_once_has_no_overlap_and_a_reason(key: APIKey) -> None:
    rotate_key(key, overlap=None)
    assert AuditEvent.objects.get(action="key_rotated").details["overlap_seconds"] == 0
    assert AuditEvent.objects.get(action="key_revoked").details == {"reason": "rotated"}


def test_a_row_says_whether_a_user_was_adopted(make_user: Callable[..., Any]) -> None:
    create_service_user("builder")
    create_service_user("painter", user=make_user("ada"))
    adopted = [event.details["adopted"] for event in AuditEvent.objects.order_by("pk")]
    assert adopted == [False, True]


def test_a_row_shows_no_digest(key: APIKey) -> None:
    rotate_key(key, overlap=None)
    rows = repr(list(AuditEvent.objects.values()))
    assert not [digest for digest in APIKey.objects.values_list("digest") if digest[0] in rows]


def test_a_row_reads_as_a_sentence(key: APIKey) -> None:
    revoke_key(key, now=NOW)
    event = AuditEvent.objects.latest("pk")
    assert str(event) == (
        f"2026-12-01 12:00:00 key revoked: ci ({key.preview}…) of sandbox-runtime"
    )


def test_a_row_cannot_be_changed(service_user: ServiceUser) -> None:
    event = AuditEvent.objects.get()
    event.actor_name = "somebody else"
    with pytest.raises(TypeError, match="append-only"):
        event.save()
    with pytest.raises(TypeError, match="append-only"):
        AuditEvent.objects.update(actor_name="somebody else")
    with pytest.raises(TypeError, match="append-only"), transaction.atomic():
        AuditEvent.objects.bulk_update([event], ["actor_name"])
    assert AuditEvent.objects.get().actor_name == ""


def test_a_row_cannot_be_deleted(service_user: ServiceUser) -> None:
    with pytest.raises(TypeError, match="prune_auth removes old ones"):
        AuditEvent.objects.get().delete()
    with pytest.raises(TypeError, match="prune_auth removes old ones"):
        AuditEvent.objects.all().delete()
    assert AuditEvent.objects.exists()


def test_the_story_outlives_the_key_its_owner_and_the_actor(make_user: Callable[..., Any]) -> None:
    ada = make_user("ada")
    name = ada.get_username()
    builder = create_service_user("builder", now=NOW)
    key = mint_key(builder, name="ci", now=NOW).key
    revoke_key(key, context=AuditContext(actor=ada), now=NOW)
    prune(keys_older_than=DAY, events_older_than=30 * DAY, now=NOW + 2 * DAY)
    builder.delete()
    get_user_model()._default_manager.all().delete()
    event = AuditEvent.objects.get(action="key_revoked")
    assert (event.key, event.service_user, event.actor) == (None, None, None)
    assert (event.subject, event.actor_name) == (f"ci ({key.preview}…) of builder", name)
