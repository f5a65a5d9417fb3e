"""A nudge is heard by the sockets it is about, and a layer that is not well costs only time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer

from pikku_auth.contrib.channels import listener
from pikku_auth.contrib.channels.listener import current_listener
from pikku_auth.contrib.channels.topics import GROUP
from pikku_auth.flows import IssuedKey, revoke_key
from pikku_auth.models import APIKey
from tests.sockets.during import (
    HOUR,
    MOMENT,
    during,
    guarded,
    in_the_database,
    key_of,
    rechecked,
    until,
)
from tests.sockets.layers import LayerThatGivesUp, hang
from tests.sockets.wire import Call, calling, in_time

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]
UseLayer = Callable[[str], Any]
LAYERS = "tests.sockets.layers"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_SECONDS_OF_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(listener, "_SECONDS_TO_ANSWER", 0.05)


class TestALayerThatIsNotWell:
    """Nothing of it holds a socket open: the database is looked at all the same."""

    @pytest.mark.parametrize("method", ["new_channel", "group_add", "group_discard", "receive"])
    def test_may_hang(
        self, method: str, mint: Mint, layer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(layer, method, hang)
        layer.group_send = InMemoryChannelLayer.group_discard  # nobody is told
        issued = mint()
        with rechecked(MOMENT):
            assert during(key_of(issued), in_the_database(revoke_key, issued.key)) == 4401

    @pytest.mark.parametrize("path", ["BrokenLayer", "LayerThatDies"])
    def test_may_be_gone(self, path: str, mint: Mint, use_layer: UseLayer, caplog: Any) -> None:
        use_layer(f"{LAYERS}.{path}")
        issued = mint()
        with rechecked(MOMENT):
            assert during(key_of(issued), in_the_database(revoke_key, issued.key)) == 4401
        assert "Open sockets can't be told of a change now: ConnectionError('gone')" in caplog.text
        assert APIKey.objects.get().revoked_at is not None

    @pytest.mark.parametrize("went_well", [0, 1], ids=["at once", "after a while"])
    def test_may_give_up_listening_now_and_then(
        self, went_well: int, mint: Mint, use_layer: UseLayer, monkeypatch: Any
    ) -> None:
        use_layer(f"{LAYERS}.LayerThatGivesUp")
        monkeypatch.setattr(listener, "_SECONDS_THAT_WENT_WELL", went_well)
        monkeypatch.setattr(LayerThatGivesUp, "gave_up", 0)
        issued = mint()

        async def scenario(call: Call) -> int:
            await until(lambda: LayerThatGivesUp.gave_up >= 3)
            monkeypatch.setattr(LayerThatGivesUp, "receive", InMemoryChannelLayer.receive)
            await sync_to_async(revoke_key)(issued.key)
            return await call.closed_with()

        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_may_be_away_when_the_socket_opens(
        self, mint: Mint, layer: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issued = mint()

        async def scenario(call: Call) -> int:
            monkeypatch.undo()
            await until(lambda: layer.groups)
            await sync_to_async(revoke_key)(issued.key)
            return await call.closed_with()

        async def away(*_: object) -> None:
            raise ConnectionError

        monkeypatch.setattr(layer, "group_add", away)
        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_may_hang_once_and_be_joined_then(self, mint: Mint, layer: Any) -> None:
        issued, join, attempts = mint(), layer.group_add, [hang]

        async def hang_once(group: str, channel: str) -> None:
            while attempts:
                await attempts.pop()()
            await join(group, channel)

        async def scenario(call: Call) -> int:
            await until(lambda: layer.groups)
            await sync_to_async(revoke_key)(issued.key)
            return await call.closed_with()

        layer.group_add = hang_once
        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_may_have_lost_its_memory(self, mint: Mint, layer: Any) -> None:
        """What was said in between is found by looking when it listens again."""
        issued = mint()

        async def scenario(call: Call) -> int:
            await until(lambda: layer.groups)
            (channel,) = layer.groups[GROUP]
            await sync_to_async(APIKey.objects.update)(enabled=False)
            layer.groups.clear()
            await layer.send(channel, {"nothing": "that we have said"})
            return await call.closed_with()

        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == 4401


def test_who_was_revoked_before_anybody_listened_is_found(
    mint: Mint, layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the handshake was judged, and before the socket could be told."""
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

    monkeypatch.setattr(listener, "_SECONDS_TO_ANSWER", HOUR.total_seconds())
    with rechecked(HOUR):
        assert in_time(go) == 4401


class TestTheListener:
    """One for all sockets of a process."""

    def test_only_those_are_woken_that_it_is_about(self, layer: Any) -> None:
        async def go() -> tuple[bool, bool]:
            with (
                current_listener().listening(frozenset({"key:1", "user:1"})) as one,
                current_listener().listening(frozenset({"key:2", "user:1"})) as another,
            ):
                await asyncio.gather(one.wait(), another.wait())
                one.clear(), another.clear()
                await layer.group_send(GROUP, {"about": ["key:2", "key:3"]})
                await another.wait()
                return one.is_set(), another.is_set()

        assert in_time(go) == (False, True)

    def test_who_comes_later_looks_at_once(self, layer: Any) -> None:
        async def go() -> bool:
            with current_listener().listening(frozenset()) as first:
                await first.wait()
                with current_listener().listening(frozenset()) as later:
                    return later.is_set()

        assert in_time(go)

    def test_a_process_is_one_member_as_long_as_it_has_sockets(self, layer: Any) -> None:
        async def go() -> list[int]:
            members = []
            with current_listener().listening(frozenset()) as first:
                with current_listener().listening(frozenset()):
                    await first.wait()
                    members.append(len(layer.groups[GROUP]))
                members.append(len(layer.groups[GROUP]))
            await until(lambda: not layer.groups)
            return members

        assert in_time(go) == [1, 1]

    def test_it_joins_again_before_the_layer_forgets_it(
        self, layer: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        monkeypatch.setattr(listener, "_SECONDS_OF_MEMBERSHIP", 0.01)

        async def go() -> None:
            with current_listener().listening(frozenset()) as first:
                await first.wait()
                layer.groups.clear()
                await until(lambda: layer.groups)

        in_time(go)
        assert "TimeoutError" not in caplog.text
