"""An open socket closes when its caller is not good any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.contrib.auth import get_user_model
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from pikku_auth.contrib.channels import PikkuAuthMiddleware, middleware, nudges
from pikku_auth.contrib.channels.nudges import Nudges
from pikku_auth.core.subprotocols import offer
from pikku_auth.exceptions import WidenedPermissions
from pikku_auth.flows import (
    IssuedKey,
    deactivate_service_user,
    disable_key,
    issue_session_ticket,
    revoke_key,
    revoke_login,
    rotate_key,
)
from pikku_auth.flows.verification import verify_digest
from pikku_auth.models import APIKey
from tests.conftest import pikku_settings
from tests.flows.test_tickets import sign_out, signed_in
from tests.logins import bearer, logged_in
from tests.sockets.consumers import Deaf, WhoAmI
from tests.sockets.wire import Call, Headers, calling

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]
Scenario = Callable[[Call], Awaitable[Any]]
HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=30)

guarded = PikkuAuthMiddleware(WhoAmI.as_asgi())


class BrokenLayer(InMemoryChannelLayer):
    """A layer whose server has gone."""

    async def group_add(self, group: str, channel: str) -> None:
        raise ConnectionError("gone")

    group_send = group_discard = group_add


class LayerThatDies(InMemoryChannelLayer):
    """A layer whose server goes after the socket has opened."""

    async def receive(self, channel: str) -> Any:
        raise ConnectionError("gone")

    async def group_discard(self, group: str, channel: str) -> None:
        raise ConnectionError("gone")


class LayerThatGivesUp(InMemoryChannelLayer):
    """A layer that waits for a while only, as one does whose client has a timeout."""

    gave_up: ClassVar[int] = 0

    async def receive(self, channel: str) -> Any:
        type(self).gave_up += 1
        await asyncio.sleep(0.001)
        raise TimeoutError


@pytest.fixture
def layer(settings: Any) -> Any:
    use_layer(settings, "channels.layers.InMemoryChannelLayer")
    return get_channel_layer()


def use_layer(settings: Any, path: str) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": path}}


@pytest.fixture(autouse=True)
def _nothing_has_ended() -> None:
    WhoAmI.ended.clear()


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


def during(headers: Headers, scenario: Scenario, app: Any = guarded, **changes: Any) -> Any:
    """Run ``scenario`` while the socket is open; nothing may be left running afterwards."""

    async def go() -> Any:
        async with calling(app, headers, **changes) as call:
            assert call.opened, call
            await call.says()
            result = await scenario(call)
            await call.hang_up()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in others if "pikku_auth" in repr(task)]
        return result

    return async_to_sync(go)()


def in_the_database(act: Callable[..., Any], *args: Any) -> Scenario:
    """Do it while the socket is open, and wait for the close."""

    async def scenario(call: Call) -> int:
        await sync_to_async(act)(*args)
        return await call.closed_with()

    return scenario


async def still_answers(call: Call) -> bool:
    await call.tell("still here?")
    answer: str = await call.says()
    return answer == "still here?"


def key_of(issued: IssuedKey) -> Headers:
    return [("x-api-key", issued.secret.reveal())]


Ending = Callable[[], Any]


@pytest.fixture(
    params=[
        "key revoked",
        "key disabled",
        "key rotated at once",
        "service user stopped",
        "its Django user deactivated",
        "its Django user deleted",
        "login revoked",
        "human deactivated",
        "password changed",
        "signed out",
    ]
)
def ending(request: pytest.FixtureRequest, mint: Mint, ada: Any) -> tuple[Headers, Ending]:
    """What a client presents, and what ends it."""
    issued, login, session = mint(), logged_in(ada), signed_in(ada)
    key, owner = issued.key, issued.key.service_user.user
    of_key, of_login = key_of(issued), [*bearer(login).items()]
    ticket = issue_session_ticket(ada, session).reveal()
    of_page = [("Sec-WebSocket-Protocol", ", ".join(offer(ticket)))]
    endings: dict[str, tuple[Headers, Ending]] = {
        "key revoked": (of_key, lambda: revoke_key(key)),
        "key disabled": (of_key, lambda: disable_key(key)),
        "key rotated at once": (of_key, lambda: rotate_key(key, overlap=None)),
        "service user stopped": (of_key, lambda: deactivate_service_user(key.service_user)),
        "its Django user deactivated": (of_key, lambda: deactivate(owner)),
        "its Django user deleted": (of_key, lambda: fresh(owner).delete()),
        "login revoked": (of_login, lambda: revoke_login(login.login)),
        "human deactivated": (of_login, lambda: deactivate(ada)),
        "password changed": (of_page, lambda: change_password(ada)),
        "signed out": (of_page, lambda: sign_out(ada, session)),
    }
    return endings[request.param]


def fresh(user: Any) -> Any:
    return get_user_model()._default_manager.get(pk=user.pk)


def deactivate(user: Any) -> None:
    user = fresh(user)
    user.is_active = False
    user.save()


def change_password(user: Any) -> None:
    user = fresh(user)
    user.set_password("another")
    user.save()


class TestItCloses:
    """With 4401, which is 4000 and HTTP's 401."""

    def test_at_the_next_periodic_look(self, ending: tuple[Headers, Ending]) -> None:
        headers, end = ending
        with pikku_settings(SOCKET_RECHECK=MOMENT):
            assert during(headers, in_the_database(end)) == 4401

    @pytest.mark.usefixtures("layer")
    def test_at_once_where_a_channel_layer_tells_it(self, ending: tuple[Headers, Ending]) -> None:
        headers, end = ending
        with pikku_settings(SOCKET_RECHECK=HOUR):
            assert during(headers, in_the_database(end)) == 4401

    @pytest.mark.parametrize("path", ["BrokenLayer", "LayerThatDies"])
    def test_in_the_end_where_the_layer_is_broken(
        self, path: str, mint: Mint, settings: Any, caplog: Any
    ) -> None:
        use_layer(settings, f"{__name__}.{path}")
        issued = mint()
        with pikku_settings(SOCKET_RECHECK=MOMENT):
            assert during(key_of(issued), in_the_database(revoke_key, issued.key)) == 4401
        assert "ConnectionError('gone')" in caplog.text
        assert APIKey.objects.get().revoked_at is not None

    @pytest.mark.parametrize("long_read", [1, 0], ids=["at once", "after a while"])
    def test_at_once_though_the_layer_gives_up_listening_now_and_then(
        self, long_read: int, mint: Mint, settings: Any, monkeypatch: Any
    ) -> None:
        use_layer(settings, f"{__name__}.LayerThatGivesUp")
        monkeypatch.setattr(nudges, "_SECONDS_OF_FIRST_PAUSE", 0.001)
        monkeypatch.setattr(nudges, "_SECONDS_OF_A_LONG_READ", long_read)
        monkeypatch.setattr(LayerThatGivesUp, "gave_up", 0)
        issued = mint()

        async def scenario(call: Call) -> int:
            while LayerThatGivesUp.gave_up < 3:
                await asyncio.sleep(0.001)
            monkeypatch.setattr(LayerThatGivesUp, "receive", InMemoryChannelLayer.receive)
            await sync_to_async(revoke_key)(issued.key)
            return await call.closed_with()

        with pikku_settings(SOCKET_RECHECK=HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_when_the_key_expires(self, mint: Mint) -> None:
        issued = mint()
        APIKey.objects.update(expires_at=timezone.now() + timedelta(milliseconds=400))

        async def scenario(call: Call) -> int:
            assert await still_answers(call)
            return await call.closed_with()

        with pikku_settings(SOCKET_RECHECK=HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_when_the_mapping_changes_its_mind(self, mint: Mint, settings: Any) -> None:
        issued = mint()

        async def scenario(call: Call) -> int:
            settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "MAP_KEY": "tests.mappings.reject"}
            return await call.closed_with()

        settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "SOCKET_RECHECK": MOMENT}
        assert during(key_of(issued), scenario) == 4401

    def test_before_anybody_listened(self, mint: Mint, layer: Any) -> None:
        """Revoked after the handshake was judged, and before the socket could be told."""
        issued, join = mint(), layer.group_add

        async def revoke_and_join(group: str, channel: str) -> None:
            await sync_to_async(revoke_key)(issued.key)
            await join(group, channel)

        async def go() -> int:
            layer.group_add = revoke_and_join
            async with calling(guarded, key_of(issued)) as call:
                while (message := await call.app.next())["type"] != "websocket.close":
                    pass
                code: int = message["code"]
                await call.hang_up()
                return code

        with pikku_settings(SOCKET_RECHECK=HOUR):
            assert async_to_sync(go)() == 4401


class TestItStays:
    """Open."""

    def test_while_the_credential_is_good(self, mint: Mint, layer: Any) -> None:
        issued, other = mint(lifetime=None), mint()

        async def scenario(call: Call) -> bool:
            await sync_to_async(revoke_key)(other.key)
            for _ in range(3):
                await asyncio.sleep(2 * MOMENT.total_seconds())
                assert await still_answers(call)
            return True

        with pikku_settings(SOCKET_RECHECK=MOMENT):
            assert during(key_of(issued), scenario)
        assert layer.groups == {}

    def test_while_the_database_is_down(self, mint: Mint) -> None:
        issued = mint()

        async def scenario(call: Call) -> int:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(BaseDatabaseWrapper, "cursor", down)
                await asyncio.sleep(3 * MOMENT.total_seconds())
                assert await still_answers(call)
            await sync_to_async(revoke_key)(issued.key)
            return await call.closed_with()

        with pikku_settings(SOCKET_RECHECK=MOMENT):
            assert during(key_of(issued), scenario) == 4401

    def test_not_beyond_its_expiry_though_the_database_is_down(self, mint: Mint) -> None:
        issued = mint()
        APIKey.objects.update(expires_at=timezone.now() + timedelta(milliseconds=400))

        async def scenario(call: Call) -> int:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(BaseDatabaseWrapper, "cursor", down)
                return await call.closed_with()

        with pikku_settings(SOCKET_RECHECK=HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_where_nobody_came_with_a_credential(self) -> None:
        app = PikkuAuthMiddleware(WhoAmI.as_asgi(), allow_anonymous=True)
        with pikku_settings(SOCKET_RECHECK=MOMENT):
            assert during([], still_answers, app)


def down(*_: object, **__: object) -> None:
    raise OperationalError("gone")


class TestTheApplication:
    """Whatever it does, it ends with its socket."""

    def test_is_told_that_the_socket_has_closed(self, mint: Mint) -> None:
        issued = mint()

        async def scenario(call: Call) -> None:
            await sync_to_async(revoke_key)(issued.key)
            assert await call.closed_with() == 4401
            await call.tell("what was on its way")

        with pikku_settings(SOCKET_RECHECK=MOMENT):
            during(key_of(issued), scenario)
        assert WhoAmI.ended == [4401]

    def test_may_die_by_itself(self, mint: Mint) -> None:
        async def scenario(call: Call) -> None:
            await call.tell("die")
            await call.app.end()

        with pytest.raises(RuntimeError, match="as it was told to"):
            during(key_of(mint()), scenario)

    def test_says_nothing_more_and_is_stopped_if_it_does_not_end(
        self, mint: Mint, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(middleware, "_SECONDS_TO_LEAVE", 0.05)
        issued, app = mint(), PikkuAuthMiddleware(Deaf())

        async def go() -> None:
            async with calling(app, key_of(issued)) as call:
                await sync_to_async(revoke_key)(issued.key)
                assert await call.closed_with() == 4401
                await call.tell("hello?")
                await call.app.end()
                assert await call.app.next() is None

        with pikku_settings(SOCKET_RECHECK=MOMENT):
            async_to_sync(go)()

    def test_gets_what_the_mapping_raises(self, mint: Mint, settings: Any) -> None:
        async def scenario(call: Call) -> None:
            settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "MAP_KEY": "tests.mappings.widen"}
            await call.app.end()

        settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "SOCKET_RECHECK": MOMENT}
        with pytest.raises(WidenedPermissions):
            during(key_of(mint()), scenario)

    def test_a_client_that_has_gone_by_itself_is_no_error(self, mint: Mint) -> None:
        issued = mint()

        async def scenario(call: Call) -> None:
            tried = asyncio.Event()

            async def gone(_: object) -> None:
                tried.set()
                raise BrokenPipeError

            call.app.sending = gone
            await sync_to_async(revoke_key)(issued.key)
            await tried.wait()

        with pikku_settings(SOCKET_RECHECK=MOMENT):
            during(key_of(issued), scenario)
        assert WhoAmI.ended == [1000]

    def test_may_ask_before_an_act_that_matters(self, mint: Mint) -> None:
        issued = mint()

        async def scenario(call: Call) -> list[str]:
            await call.tell("am I good?")
            before = await call.says()
            await sync_to_async(revoke_key)(issued.key)
            await call.tell("am I good?")
            return [before, await call.says()]

        with pikku_settings(SOCKET_RECHECK=HOUR):
            assert during(key_of(issued), scenario) == ["api_key", "Invalid API key."]

    def test_can_not_ask_about_nobody(self) -> None:
        async def scenario(call: Call) -> str:
            await call.tell("am I good?")
            answer: str = await call.says()
            return answer

        app = PikkuAuthMiddleware(WhoAmI.as_asgi(), allow_anonymous=True)
        assert during([], scenario, app) == "This socket was opened without a credential."


class TestNudges:
    """What is sent, and what is not."""

    @pytest.fixture
    def sent(self, layer: Any) -> list[str]:
        groups: list[str] = []

        async def remember(group: str, message: Any) -> None:
            groups.append(group)
            assert message == {"type": "pikku_auth.look_again"}

        layer.group_send = remember
        return groups

    def test_signing_in_nudges_nobody(self, ada: Any, sent: list[str]) -> None:
        sent.clear()
        ada.last_login = timezone.now()
        ada.save(update_fields=["last_login"])
        assert sent == []

    def test_another_change_of_a_user_does(self, ada: Any, sent: list[str]) -> None:
        sent.clear()
        ada.save(update_fields=["is_active"])
        assert len(set(sent)) == 1

    def test_signing_out_of_no_session_nudges_nobody(self, sent: list[str]) -> None:
        sent.clear()
        nudges._session_ended(request=None)
        assert sent == []

    def test_a_layer_that_hangs_holds_no_revocation_up(
        self, mint: Mint, layer: Any, monkeypatch: Any, caplog: Any
    ) -> None:
        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        issued = mint()
        layer.group_send = hang
        monkeypatch.setattr(nudges, "_SECONDS_TO_TELL", 0.01)
        assert revoke_key(issued.key)
        assert "Open sockets were not told of a change: TimeoutError()" in caplog.text

    def test_a_socket_stays_in_its_groups(self, mint: Mint, layer: Any, monkeypatch: Any) -> None:
        """A layer forgets its members after a day."""
        issued = mint()
        principal = verify_digest(issued.key.digest)
        monkeypatch.setattr(nudges, "_SECONDS_OF_MEMBERSHIP", -1)

        async def go() -> None:
            async with Nudges(principal) as told:
                layer.groups.clear()
                waiting = asyncio.ensure_future(told.wait(HOUR.total_seconds()))
                while len(layer.groups) < 3:
                    await asyncio.sleep(0)
                await sync_to_async(revoke_key)(issued.key)
                await waiting

        async_to_sync(go)()
