"""An open socket closes when its caller is not good any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import RequestFactory
from django.utils import timezone

from pikku_auth.contrib.channels import (
    PikkuChannelsMiddleware,
    middleware,
    open_sockets,
    revalidation,
)
from pikku_auth.contrib.channels.revalidation import look_with_others
from pikku_auth.core.websocket_protocol import offer
from pikku_auth.exceptions import WidenedPermissions
from pikku_auth.flows import (
    IssuedKey,
    arevalidate,
    deactivate_service_user,
    disable_key,
    issue_session_ticket,
    issue_ticket,
    revoke_key,
    revoke_login,
    rotate_key,
    set_service_user_scopes,
    verify_key,
)
from pikku_auth.flows.keys.verify import verify_digest
from pikku_auth.models import APIKey
from pikku_auth.principal import Principal
from tests import login_scopes
from tests.conftest import pikku_settings
from tests.flows.test_tickets import sign_out, signed_in
from tests.logins import bearer, logged_in
from tests.sockets.consumers import Closing, Deaf, Staying, WhoAmI
from tests.sockets.during import (
    HOUR,
    MOMENT,
    down,
    during,
    in_the_database,
    key_of,
    rechecked,
    still_answers,
)
from tests.sockets.wire import Call, Headers, calling, in_time

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]


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
        with rechecked(MOMENT):
            assert during(headers, in_the_database(end)) == 4401

    @pytest.mark.parametrize("every", [MOMENT, MOMENT.total_seconds()], ids=["time", "seconds"])
    def test_how_often_is_said_to_the_outermost_middleware(self, mint: Mint, every: Any) -> None:
        issued = mint()
        inner = PikkuChannelsMiddleware(WhoAmI.as_asgi(), scopes=[], recheck=HOUR)
        app = PikkuChannelsMiddleware(inner, recheck=every)
        end = in_the_database(revoke_key, issued.key)
        assert during(key_of(issued), end, app) == 4401

    @pytest.mark.usefixtures("layer")
    def test_at_once_where_a_channel_layer_tells_it(self, ending: tuple[Headers, Ending]) -> None:
        headers, end = ending
        with rechecked(HOUR):
            assert during(headers, in_the_database(end)) == 4401

    def test_when_the_key_expires(self, mint: Mint) -> None:
        issued = mint()
        APIKey.objects.update(expires_at=timezone.now() + timedelta(milliseconds=400))

        async def scenario(call: Call) -> int:
            assert await still_answers(call)
            return await call.closed_with()

        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_when_the_mapping_changes_its_mind(self, mint: Mint, settings: Any) -> None:
        issued = mint()

        async def scenario(call: Call) -> int:
            settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "MAP_KEY": "tests.mappings.reject"}
            return await call.closed_with()

        with rechecked(MOMENT):
            assert during(key_of(issued), scenario) == 4401

    @pytest.mark.parametrize("place", ["outer", "inner"])
    def test_when_a_scope_that_was_wanted_has_gone(
        self, place: str, mint: Mint, settings: Any
    ) -> None:
        issued = mint(scopes=["sandbox:*"])
        outer, inner = (["sandbox:write"], []) if place == "outer" else ([], ["sandbox:write"])
        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), scopes=inner)
        app = PikkuChannelsMiddleware(app, scopes=outer)

        async def scenario(call: Call) -> int:
            settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "MAP_KEY": "tests.mappings.narrow"}
            return await call.closed_with()

        with rechecked(MOMENT):
            assert during(key_of(issued), scenario, app) == 4403

    @pytest.mark.usefixtures("layer")
    @pytest.mark.parametrize("way", ["key", "ticket of a key"])
    @pytest.mark.parametrize(
        ("ceiling", "code"), [(["sandbox:read"], 4403), ([], 4403), (["sandbox:write"], None)]
    )
    def test_at_once_when_the_ceiling_of_its_service_user_is_narrowed(
        self, ceiling: list[str], code: int | None, way: str, mint: Mint
    ) -> None:
        issued = mint(scopes=["sandbox:*"])
        service_user, headers = issued.key.service_user, key_of(issued)
        if way == "ticket of a key":
            ticket = issue_ticket(verify_key(issued.secret.reveal())).reveal()
            headers = [("Sec-WebSocket-Protocol", ", ".join(offer(ticket)))]
        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), scopes=["sandbox:write"])

        async def scenario(call: Call) -> int | None:
            await sync_to_async(set_service_user_scopes)(service_user, ceiling)
            if code is None:
                assert await still_answers(call)
                return None
            return await call.closed_with()

        with rechecked(HOUR):
            assert during(headers, scenario, app) == code

    @pytest.mark.parametrize("kind", ["", "a"], ids=["sync", "async"])
    @pytest.mark.parametrize("way", ["login", "page"])
    def test_when_its_human_loses_the_scope(self, kind: str, way: str, ada: Any) -> None:
        ada.groups.add(Group.objects.create(name=login_scopes.GROUP))
        ticket = issue_session_ticket(ada, signed_in(ada)).reveal()
        page = [("Sec-WebSocket-Protocol", ", ".join(offer(ticket)))]
        headers = page if way == "page" else [*bearer(logged_in(ada)).items()]
        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), scopes=["sandbox:write"])
        name = f"tests.login_scopes.{kind}by_group"
        with rechecked(MOMENT), pikku_settings(LOGIN_SCOPES=name):
            assert during(headers, in_the_database(ada.groups.clear), app) == 4403

    @pytest.mark.parametrize("kind", ["", "a"], ids=["sync", "async"])
    def test_when_its_human_may_not_log_in_any_more(self, kind: str, ada: Any) -> None:
        ada.groups.add(Group.objects.create(name=login_scopes.GROUP))
        headers = [*bearer(logged_in(ada)).items()]
        name = f"tests.login_scopes.{kind}only_the_group"
        with rechecked(MOMENT), pikku_settings(LOGIN_SCOPES=name):
            assert during(headers, in_the_database(ada.groups.clear)) == 4401

    @pytest.mark.usefixtures("layer")
    def test_at_the_earlier_end_of_a_key_that_is_rotated_away(self, mint: Mint) -> None:
        issued, soon = mint(), timedelta(milliseconds=400)

        async def scenario(call: Call) -> int:
            await sync_to_async(rotate_key)(issued.key, overlap=soon)
            assert await still_answers(call)
            return await call.closed_with()

        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_when_the_key_may_not_be_used_from_there_any_more(self, mint: Mint) -> None:
        issued = mint(networks=["127.0.0.0/8"])

        async def scenario(call: Call) -> int:
            await asyncio.sleep(3 * MOMENT.total_seconds())
            assert await still_answers(call)
            await sync_to_async(APIKey.objects.update)(networks=["192.0.2.0/24"])
            return await call.closed_with()

        with rechecked(MOMENT):
            assert during(key_of(issued), scenario) == 4403


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

        with rechecked(MOMENT):
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

        with rechecked(MOMENT):
            assert during(key_of(issued), scenario) == 4401

    def test_not_beyond_its_expiry_though_the_database_is_down(self, mint: Mint) -> None:
        issued = mint()
        APIKey.objects.update(expires_at=timezone.now() + timedelta(milliseconds=400))

        async def scenario(call: Call) -> int:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(BaseDatabaseWrapper, "cursor", down)
                return await call.closed_with()

        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == 4401

    def test_not_beyond_its_expiry_though_the_database_hangs(
        self, mint: Mint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(open_sockets, "_SECONDS_TO_ANSWER", 0.05)
        issued = mint()
        APIKey.objects.update(expires_at=timezone.now() + timedelta(milliseconds=400))

        async def scenario(call: Call) -> int:
            answers = asyncio.Event()
            monkeypatch.setattr(revalidation, "arevalidate", lambda *_: answers.wait())
            code = await call.closed_with()
            answers.set()
            return code

        with rechecked(MOMENT):
            assert during(key_of(issued), scenario) == 4401

    def test_where_nobody_came_with_a_credential(self) -> None:
        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), allow_anonymous=True)
        with rechecked(MOMENT):
            assert during([], still_answers, app)


class TestTheApplication:
    """Whatever it does, it ends with its socket."""

    def test_is_told_that_the_socket_has_closed(self, mint: Mint) -> None:
        issued = mint()

        async def scenario(call: Call) -> None:
            await sync_to_async(revoke_key)(issued.key)
            assert await call.closed_with() == 4401
            await call.tell("what was on its way")

        with rechecked(MOMENT):
            during(key_of(issued), scenario)
        assert WhoAmI.ended == [4401]

    def test_may_close_by_itself_and_is_closed_once(self, mint: Mint) -> None:
        issued = mint()

        async def scenario(call: Call) -> list[int]:
            await call.tell("close")
            codes = [await call.closed_with()]
            await sync_to_async(revoke_key)(issued.key)
            await asyncio.sleep(3 * MOMENT.total_seconds())
            return codes

        app = PikkuChannelsMiddleware(Closing.as_asgi())
        with rechecked(MOMENT):
            assert during(key_of(issued), scenario, app) == [4000]

    def test_is_not_closed_when_the_client_has_gone(self, mint: Mint) -> None:
        issued = mint()

        async def go() -> Any:
            async with calling(PikkuChannelsMiddleware(Staying()), key_of(issued)) as call:
                await call.app.told.put({"type": "websocket.disconnect", "code": 1001})
                await sync_to_async(revoke_key)(issued.key)
                return await call.app.next()

        with rechecked(MOMENT):
            assert in_time(go) is None

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
        issued, app = mint(), PikkuChannelsMiddleware(Deaf())

        async def go() -> None:
            async with calling(app, key_of(issued)) as call:
                await sync_to_async(revoke_key)(issued.key)
                assert await call.closed_with() == 4401
                await call.tell("hello?")
                await call.app.end()
                assert await call.app.next() is None

        with rechecked(MOMENT):
            in_time(go)

    def test_gets_what_the_mapping_raises(self, mint: Mint, settings: Any) -> None:
        async def scenario(call: Call) -> None:
            settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "MAP_KEY": "tests.mappings.widen"}
            await call.app.end()

        with rechecked(MOMENT), pytest.raises(WidenedPermissions):
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

        with rechecked(MOMENT):
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

        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == ["api_key", "Invalid API key."]

    def test_may_ask_for_a_scope_that_may_have_gone(self, mint: Mint, settings: Any) -> None:
        issued = mint(scopes=["sandbox:*"])

        async def scenario(call: Call) -> list[str]:
            await call.tell("may I write?")
            before = await call.says()
            settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "MAP_KEY": "tests.mappings.narrow"}
            await call.tell("may I write?")
            return [before, await call.says()]

        with rechecked(HOUR):
            assert during(key_of(issued), scenario) == ["api_key", "Missing scope: sandbox:write."]

    def test_can_not_ask_about_nobody(self) -> None:
        async def scenario(call: Call) -> str:
            await call.tell("am I good?")
            answer: str = await call.says()
            return answer

        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), allow_anonymous=True)
        assert during([], scenario, app) == "This socket was opened without a credential."


class TestLooks:
    """What the database is asked for many sockets."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[Principal]:
        seen: list[Principal] = []

        async def remember(principal: Principal, request: Any) -> Principal:
            seen.append(principal)
            return await arevalidate(principal, request)

        monkeypatch.setattr(revalidation, "arevalidate", remember)
        return seen

    def look_thrice(self, key: APIKey) -> list[Any]:
        async def go() -> list[Any]:
            principal = await sync_to_async(verify_digest)(key.digest, ip="127.0.0.1")
            request = RequestFactory().get("/")
            return await asyncio.gather(
                *(look_with_others(principal, request) for _ in range(3)), return_exceptions=True
            )

        return in_time(go)

    def test_who_asks_for_the_same_at_once_is_answered_together(
        self, mint: Mint, asked: list[Principal]
    ) -> None:
        issued = mint()
        answers = self.look_thrice(issued.key)
        assert [answer.key for answer in answers] == 3 * [issued.key]
        assert len(asked) == 1

    def test_a_mapping_is_asked_for_each(self, mint: Mint, asked: list[Principal]) -> None:
        with pikku_settings(MAP_KEY="tests.mappings.narrow"):
            self.look_thrice(mint(scopes=["sandbox:*"]).key)
        assert len(asked) == 3

    def test_a_look_that_has_begun_is_joined_by_nobody(
        self, mint: Mint, asked: list[Principal]
    ) -> None:
        key = mint().key

        async def go() -> None:
            principal = await sync_to_async(verify_digest)(key.digest)
            request = RequestFactory().get("/")
            first = look_with_others(principal, request)
            while not asked:
                await asyncio.sleep(0)
            await asyncio.gather(first, look_with_others(principal, request))

        in_time(go)
        assert len(asked) == 2
