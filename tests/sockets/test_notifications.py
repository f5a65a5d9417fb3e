"""What every process is told of, how often, and what that costs who changes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from pikku_auth.contrib.channels import notifications
from pikku_auth.contrib.channels.topics import GROUP, subjects_of
from pikku_auth.flows import (
    Delegation,
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    disable_key,
    issue_session_ticket,
    mint_child,
    mint_key,
    revoke_key,
    revoke_login,
    rotate_key,
    set_key_bounds,
    set_service_user_scopes,
    verify_key,
)
from pikku_auth.flows.tickets import session_digest
from tests.flows.test_tickets import sign_out, signed_in
from tests.logins import logged_in
from tests.sockets.layers import hang

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]
Sent = list[list[str]]


@pytest.fixture
def sent(layer: Any) -> Sent:
    """What each nudge was about, once each."""
    copies: dict[str, list[str]] = {}
    told: Sent = []

    async def remember(group: str, message: dict[str, Any]) -> None:
        assert (group, message["type"]) == (GROUP, "pikku_auth.look_again")
        if copies.pop(str(message["about"]), None) is None:
            copies[str(message["about"])] = message["about"]
            told.append(message["about"])

    layer.group_send = remember
    notifications._batches.clear()
    return told


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A host's proxy of its user model."""
    user_model: Any = get_user_model()

    class Proxy(user_model):  # type: ignore[misc]
        class Meta:
            proxy = True
            app_label = user_model._meta.app_label
            apps = type(user_model._meta.apps)()

    models = [*apps.get_models(), Proxy]
    monkeypatch.setattr(apps, "get_models", lambda: models)
    notifications.connect()
    yield Proxy
    for signal in (post_save, post_delete):
        assert signal.disconnect(sender=Proxy, dispatch_uid="pikku_auth.notify")


class TestWhatIsToldOf:
    """Each change that may end a credential, by its name."""

    def test_a_key_that_ends(self, mint: Mint, sent: Sent) -> None:
        keys = [mint().key for _ in range(4)]
        sent.clear()
        revoke_key(keys[0])
        disable_key(keys[1])
        rotate_key(keys[2], overlap=timedelta(hours=1))
        rotate_key(keys[3], overlap=None)
        assert sent == [[f"key:{key.pk}"] for key in keys]

    def test_a_key_whose_bounds_are_set(self, mint: Mint, sent: Sent) -> None:
        key = mint().key
        sent.clear()
        set_key_bounds(key, networks=["192.0.2.0/24"])
        assert sent == [[f"key:{key.pk}"]]

    def test_a_login_that_ends(self, ada: Any, sent: Sent) -> None:
        login = logged_in(ada).login
        sent.clear()
        revoke_login(login)
        assert sent == [[f"login:{login.pk}"]]

    def test_a_service_user_that_stops(self, mint: Mint, sent: Sent) -> None:
        service_user = mint().key.service_user
        sent.clear()
        deactivate_service_user(service_user)
        assert sent == [[f"service_user:{service_user.pk}"]]

    def test_a_service_user_whose_ceiling_is_set(self, mint: Mint, sent: Sent) -> None:
        service_user = mint().key.service_user
        sent.clear()
        set_service_user_scopes(service_user, ["sandbox:read"])
        set_service_user_scopes(service_user, ["sandbox:read"])  # as it was: nothing is told
        assert sent == [[f"service_user:{service_user.pk}"]]

    def test_a_browser_that_signs_out(self, ada: Any, sent: Sent) -> None:
        session = signed_in(ada)
        issue_session_ticket(ada, session)
        sent.clear()
        name = f"session:{session_digest(session.session_key)}"
        sign_out(ada, session)
        assert sent == [[name]]

    def test_a_change_of_a_user(self, ada: Any, sent: Sent) -> None:
        sent.clear()
        ada.save(update_fields=["is_active"])
        assert sent == [[f"user:{ada.pk}"]]

    def test_by_way_of_a_proxy_model_too(self, ada: Any, proxy: Any, sent: Sent) -> None:
        sent.clear()
        proxy.objects.get(pk=ada.pk).save()
        assert sent == [[f"user:{ada.pk}"]]

    def test_a_user_that_is_gone(self, ada: Any, sent: Sent) -> None:
        name = f"user:{ada.pk}"
        sent.clear()
        ada.delete()
        assert sent == [[name]]


class TestWhatIsNot:
    """What can end nothing."""

    def test_a_new_user(self, sent: Sent, make_user: Callable[..., Any]) -> None:
        make_user("grace")
        assert sent == []

    def test_signing_in(self, ada: Any, sent: Sent) -> None:
        ada.last_login = timezone.now()
        ada.save(update_fields=["last_login"])
        assert sent == []

    def test_what_is_no_user(self) -> None:
        """Whose deletions are listened to, Django deletes row by row."""
        heard = {model for model in apps.get_models() if post_delete.has_listeners(model)}
        assert heard == {get_user_model()}

    def test_a_key_that_begins(self, mint: Mint, sent: Sent) -> None:
        mint()
        assert sent == []

    def test_signing_out_of_a_session_that_nothing_was_opened_with(
        self, ada: Any, sent: Sent
    ) -> None:
        sign_out(ada, signed_in(ada))
        assert sent == []

    def test_what_is_rolled_back(self, mint: Mint, sent: Sent) -> None:
        issued = mint()
        with transaction.atomic():
            revoke_key(issued.key)
            transaction.set_rollback(True)
        assert sent == []


def test_a_transaction_is_told_of_once(mint: Mint, sent: Sent) -> None:
    first = mint()
    issued = [first, *(mint_key(first.key.service_user) for _ in range(9))]
    with transaction.atomic():
        for each in issued:
            revoke_key(each.key)
        deactivate_service_user(first.key.service_user)
    (told,) = sent
    assert len(told) == 11


def test_it_is_sent_twice_because_redis_may_lose_one(mint: Mint, layer: Any) -> None:
    messages: list[Any] = []

    async def remember(group: str, message: Any) -> None:
        messages.append(message)

    layer.group_send = remember
    revoke_key(mint().key)
    assert len(messages) == 2
    assert messages[0] == messages[1]


class TestALayerThatIsNotWell:
    """It holds no revocation up, and fails none."""

    @pytest.fixture(autouse=True)
    def _hanging(self, layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notifications, "_SECONDS_TO_TELL", 0.01)
        layer.group_send = hang

    def test_is_given_up(self, mint: Mint, caplog: Any) -> None:
        assert revoke_key(mint().key)
        assert "Open sockets are told of no change for 10 s: TimeoutError()" in caplog.text

    def test_is_left_alone_for_a_while(self, mint: Mint, caplog: Any) -> None:
        keys = [mint().key for _ in range(3)]
        assert all(revoke_key(key) for key in keys)
        assert caplog.text.count("TimeoutError") == 1

    def test_is_tried_again_later(
        self, mint: Mint, caplog: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        revoke_key(mint().key)
        monkeypatch.setattr(notifications._Silence, "until", time.monotonic())
        revoke_key(mint().key)
        assert caplog.text.count("TimeoutError") == 2


def test_in_an_event_loop_it_is_told_by_that(layer: Any, sent: Sent) -> None:
    """Where a host calls a verb there, with ``DJANGO_ALLOW_ASYNC_UNSAFE``."""

    async def go() -> None:
        notifications._notify(["key:1"])
        while notifications._telling:
            await asyncio.sleep(0)

    asyncio.run(go())
    assert sent == [["key:1"]]


def test_without_a_layer_nobody_is(mint: Mint, settings: Any) -> None:
    settings.CHANNEL_LAYERS = {}
    assert revoke_key(mint().key)


class TestAKeyThatAnotherHasMinted:
    """Its sockets are looked at again whenever that one changes."""

    def family(self, service_user: Any) -> tuple[IssuedKey, Any]:
        delegation = Delegation([service_user.name])
        owner = create_service_user("orchestrator")
        parent = mint_key(owner, scopes=["auth:mint"], delegation=delegation)
        child = mint_child(verify_key(parent.secret.reveal()), service_user)
        return parent, verify_key(child.secret.reveal())

    def test_with_its_parent(self, sent: Sent, service_user: Any) -> None:
        parent, child = self.family(service_user)
        for act in (disable_key, revoke_key):
            sent.clear()
            act(parent.key)
            assert subjects_of(child) & {*chain.from_iterable(sent)}

    def test_and_with_the_service_user_of_its_parent(self, sent: Sent, service_user: Any) -> None:
        parent, child = self.family(service_user)
        for act in (deactivate_service_user, lambda row: set_service_user_scopes(row, [])):
            sent.clear()
            act(parent.key.service_user)
            assert subjects_of(child) & {*chain.from_iterable(sent)}
