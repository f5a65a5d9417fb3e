"""Signals: after the commit, without a secret, and nobody is disturbed by a receiver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from django.dispatch import Signal
from pytest_django import DjangoCaptureOnCommitCallbacks

from pikku_auth import signals
from pikku_auth.core.secrets import Secret
from pikku_auth.flows import AuditContext, IssuedKey, create_service_user, revoke_key, rotate_key
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.flows.test_audit import ACTS, Act

pytestmark = pytest.mark.django_db

SIGNALS = {name: value for name, value in vars(signals).items() if isinstance(value, Signal)}
RECORDED = SIGNALS.pop("audit_event_recorded")  # beside each of the others
HOW = AuditContext(source="admin")

# An imported key is news of the same kind as a minted one.
SENT = {
    name: [row.replace("key_imported", "key_minted") for row in act.rows]
    for name, act in ACTS.items()
}

Heard = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """What every signal has said."""
    news: Heard = []

    def listener(name: str) -> Callable[..., None]:
        def hear(signal: Signal, **payload: Any) -> None:
            news.append((name, payload))

        return hear

    listeners = {name: listener(name) for name in SIGNALS}
    for name, hear in listeners.items():
        SIGNALS[name].connect(hear)
    yield news
    for name, hear in listeners.items():
        SIGNALS[name].disconnect(hear)


@pytest.fixture
def failing() -> Iterator[None]:
    """A receiver that raises, connected to every signal before any other."""

    def fail(**payload: object) -> None:
        raise ZeroDivisionError

    for signal in SIGNALS.values():
        signal.connect(fail)
    yield
    for signal in SIGNALS.values():
        signal.disconnect(fail)


@pytest.fixture
def key(mint: Callable[..., IssuedKey]) -> APIKey:
    return mint(name="ci", lifetime=None).key


@pytest.mark.parametrize("name", ACTS)
def test_each_act_is_announced(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    key: APIKey,
    heard: Heard,
    name: str,
) -> None:
    act: Act = ACTS[name]
    act.before(key)
    with django_capture_on_commit_callbacks(execute=True):
        act.do(key, context=HOW)
        assert heard == []
    assert [signal for signal, _ in heard] == SENT[name]
    for signal, payload in heard:
        assert payload["sender"] is (ServiceUser if signal.startswith("service") else APIKey)
        assert payload["context"] is HOW


@pytest.mark.parametrize("name", ACTS)
def test_each_row_of_the_audit_trail_is_announced_after_the_commit(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, key: APIKey, name: str
) -> None:
    events: list[AuditEvent] = []

    def hear(event: AuditEvent, **_: object) -> None:
        events.append(event)

    ACTS[name].before(key)
    RECORDED.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            ACTS[name].do(key, context=HOW)
            assert events == []
    finally:
        RECORDED.disconnect(hear)
    assert [event.action for event in events] == ACTS[name].rows


@pytest.mark.parametrize("name", ACTS)
def test_no_announcement_has_a_secret(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    key: APIKey,
    heard: Heard,
    name: str,
) -> None:
    ACTS[name].before(key)
    with django_capture_on_commit_callbacks(execute=True):
        answer = ACTS[name].do(key)
    values = [value for _, payload in heard for value in payload.values()]
    values += [inner for value in values for inner in getattr(value, "__dict__", {}).values()]
    assert not [value for value in values if isinstance(value, Secret)]
    if isinstance(answer, IssuedKey):
        assert answer.secret.reveal() not in repr(values)


def test_a_rotation_announces_both_keys(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, key: APIKey, heard: Heard
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        successor = rotate_key(key, overlap=None).key
    rotated, minted, revoked = (payload for _, payload in heard)
    assert (rotated["key"], rotated["successor"]) == (key, successor)
    assert minted["key"] == successor
    assert (revoked["key"], revoked["reason"]) == (key, "rotated")


def test_an_act_that_changes_nothing_is_not_announced(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, key: APIKey, heard: Heard
) -> None:
    revoke_key(key)
    with django_capture_on_commit_callbacks(execute=True):
        revoke_key(key)
    assert heard == []


@pytest.mark.django_db(transaction=True)
def test_an_act_is_announced_when_its_transaction_has_committed(heard: Heard) -> None:
    with transaction.atomic():
        create_service_user("builder")
        assert heard == []
    assert [name for name, _ in heard] == ["service_user_created"]


@pytest.mark.django_db(transaction=True)
def test_an_act_that_was_rolled_back_is_never_announced(heard: Heard) -> None:
    with transaction.atomic():
        create_service_user("builder")
        transaction.set_rollback(True)
    assert heard == []
    assert not ServiceUser.objects.exists()


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("name", ACTS)
def test_a_receiver_that_raises_disturbs_nobody(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    key: APIKey,
    heard: Heard,
    name: str,
) -> None:
    ACTS[name].before(key)
    with django_capture_on_commit_callbacks(execute=True):
        assert ACTS[name].do(key)
    assert [signal for signal, _ in heard] == SENT[name]
