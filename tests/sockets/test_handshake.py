"""Who may open a WebSocket, and how the others are told, before it opens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from pikku_auth.contrib.channels import PikkuChannelsMiddleware
from pikku_auth.core.limits import parse_rate
from pikku_auth.core.secrets import generate
from pikku_auth.core.websocket_protocol import offer
from pikku_auth.flows import (
    IssuedKey,
    issue_session_ticket,
    issue_ticket,
    last_used,
    revoke_key,
    verify_key,
)
from pikku_auth.models import APIKey, SocketTicket
from tests.conftest import pikku_settings
from tests.flows.test_tickets import signed_in
from tests.logins import bearer, logged_in
from tests.sockets.consumers import Chooser, WhoAmI
from tests.sockets.wire import Application, Call, Headers, calling, in_time, scope_of

# Channels closes connections that are in a transaction, as the one of a TestCase is.
pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]
EVIL = "https://evil.example"
OWN = "http://testserver"
KEY = "x-api-key"
PROTOCOL = "Sec-WebSocket-Protocol"

guarded = PikkuChannelsMiddleware(WhoAmI.as_asgi())


def shake(headers: Headers = (), app: Any = guarded, **changes: Any) -> tuple[Call, Any]:
    """The answer to a handshake, and what the socket says first if it opened."""

    async def go() -> tuple[Call, Any]:
        async with calling(app, headers, **changes) as call:
            if not call.opened:
                return call, None
            first = await call.says()
            await call.hang_up()
            return call, first

    return in_time(go)


def secret_of(issued: IssuedKey) -> str:
    return issued.secret.reveal()


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


class TestWhoComesIn:
    """The caller is in the scope."""

    def test_a_key_in_its_header(self, mint: Mint) -> None:
        issued = mint(scopes=["sandbox:read"])
        call, first = shake([(KEY, secret_of(issued))])
        user: Any = issued.key.service_user.user
        assert call.opened
        assert (first["user"], first["via"], first["scopes"]) == (
            user.get_username(),
            "api_key",
            ["sandbox:read"],
        )

    def test_a_login_in_its_header(self, ada: Any) -> None:
        _, first = shake([*bearer(logged_in(ada)).items()])
        assert (first["user"], first["via"]) == (ada.get_username(), "login")

    def test_a_page_with_a_ticket(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada)).reveal()
        call, first = shake([(PROTOCOL, ", ".join(offer(ticket))), ("Origin", OWN)])
        assert (first["user"], first["via"]) == (ada.get_username(), "session")
        assert call.subprotocol == "pikku-auth"

    def test_a_machine_with_a_ticket(self, mint: Mint) -> None:
        issued = mint()
        ticket = issue_ticket(verify_key(secret_of(issued))).reveal()
        _, first = shake([(PROTOCOL, ", ".join(offer(ticket)))])
        assert first["via"] == "api_key"

    def test_what_the_mapping_claims_is_there(self, mint: Mint, ada: Any) -> None:
        issued = mint()
        ticket = issue_session_ticket(ada, signed_in(ada)).reveal()
        note = "tests.mappings.anote"
        with pikku_settings(MAP_KEY=note, MAP_LOGIN=note):
            _, first = shake([(KEY, secret_of(issued)), ("X-Tenant", "acme")])
            _, of_page = shake([(PROTOCOL, ", ".join(offer(ticket))), ("X-Tenant", "acme")])
        assert first["claims"] == {"tenant": "acme", "credential": issued.key.pk}
        assert of_page["claims"]["tenant"] == "acme"

    def test_a_machine_with_a_ticket_comes_from_where_its_key_may_be_used(self, mint: Mint) -> None:
        issued = mint(networks=["127.0.0.0/8"])
        ticket = issue_ticket(verify_key(secret_of(issued), ip="127.0.0.1")).reveal()
        assert shake([(PROTOCOL, ", ".join(offer(ticket)))])[0].opened

    def test_async_mappings_wait_for_one_another_not(self, mint: Mint) -> None:
        headers = [(KEY, secret_of(mint()))]

        async def one() -> bool:
            async with calling(guarded, headers) as call:
                await call.hang_up()
                return call.opened

        async def go() -> list[bool]:
            return await asyncio.gather(one(), one(), one())

        with pikku_settings(MAP_KEY="tests.mappings.await_three"):
            assert in_time(go) == [True, True, True]

    def test_a_use_is_noted(self, mint: Mint) -> None:
        shake([(KEY, secret_of(mint()))])
        assert APIKey.objects.get().last_used_at is not None
        assert not last_used._noted

    def test_a_call_is_counted_once(self, mint: Mint) -> None:
        secret = secret_of(mint(quota=2))
        shake([(KEY, secret)])
        assert APIKey.objects.get().remaining == 1


class TestWhoDoesNot:
    """They are told as by every other integration."""

    def test_nobody(self) -> None:
        call, _ = shake()
        assert (call.opened, call.status) == (False, 401)
        assert call.body["code"] == "not_authenticated"
        assert call.headers["www-authenticate"] == 'ApiKey realm="api", Bearer realm="api"'

    def test_a_bad_key(self, mint: Mint) -> None:
        issued = mint()
        revoke_key(issued.key)
        call, _ = shake([(KEY, secret_of(issued))])
        assert (call.opened, call.status, call.body["code"]) == (False, 401, "invalid_key")

    def test_a_bad_key_beside_a_good_ticket(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada)).reveal()
        call, _ = shake([(KEY, generate("pka").reveal()), (PROTOCOL, ", ".join(offer(ticket)))])
        assert call.status == 401
        assert SocketTicket.objects.get().redeemed_at is None

    def test_a_used_ticket(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada)).reveal()
        headers = [(PROTOCOL, ", ".join(offer(ticket)))]
        assert shake(headers)[0].opened
        call, _ = shake(headers)
        assert (call.status, call.body["code"]) == (401, "invalid_ticket")

    def test_two_tickets(self, ada: Any) -> None:
        tickets = [issue_session_ticket(ada, signed_in(ada)).reveal() for _ in range(2)]
        offered = [name for ticket in tickets for name in offer(ticket)]
        assert shake([(PROTOCOL, ", ".join(offered))])[0].status == 401

    def test_what_is_no_ticket(self) -> None:
        assert shake([(PROTOCOL, "pikku-auth.ticket.nonsense")])[0].status == 401

    def test_who_is_over_a_limit(self, mint: Mint) -> None:
        headers = [(KEY, secret_of(mint(rate=parse_rate("1/d"))))]
        assert shake(headers)[0].opened
        call, _ = shake(headers)
        assert call.status == 429
        assert int(call.headers["retry-after"]) > 0

    def test_anybody_while_the_database_is_down(self, mint: Mint) -> None:
        headers = [(KEY, secret_of(mint()))]

        def down(*_: object, **__: object) -> None:
            raise OperationalError("gone")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BaseDatabaseWrapper, "cursor", down)
            call, _ = shake(headers)
        assert (call.status, call.headers["retry-after"]) == (503, "5")

    def test_a_server_that_can_not_answer_over_http_closes(self, mint: Mint) -> None:
        call, _ = shake(extensions={})
        assert (call.opened, call.code) == (False, 4401)
        call, _ = shake(extensions=None)
        assert call.code == 4401

    def test_who_has_gone_is_told_nothing(self) -> None:
        async def go() -> Any:
            application = Application(guarded, scope_of([]))
            await application.told.put({"type": "websocket.disconnect", "code": 1006})
            return await application.next()

        assert in_time(go) is None

    def test_the_database_is_not_asked_about_a_page_of_another_site(self, mint: Mint) -> None:
        issued = mint(quota=1)
        call, _ = shake([(KEY, secret_of(issued)), ("Origin", EVIL)])
        assert (call.status, call.body["code"]) == (403, "origin_not_allowed")
        assert APIKey.objects.get().remaining == 1


class TestScopes:
    """What a consumer wants of its caller."""

    def test_they_are_all_wanted(self, mint: Mint) -> None:
        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), scopes=["sandbox:read", "sandbox:write"])
        lacking, full = mint(scopes=["sandbox:read"]), mint(scopes=["sandbox:*"])
        call, _ = shake([(KEY, secret_of(lacking))], app)
        assert (call.status, call.body["detail"]) == (403, "Missing scope: sandbox:write.")
        assert shake([(KEY, secret_of(full))], app)[0].opened

    def test_an_inner_middleware_asks_for_more_and_judges_nobody_twice(self, mint: Mint) -> None:
        inner = PikkuChannelsMiddleware(WhoAmI.as_asgi(), scopes=["sandbox:write"])
        app = PikkuChannelsMiddleware(inner)
        lacking = mint(scopes=["sandbox:read"])
        full = mint(scopes=["sandbox:write"], quota=5)
        assert shake([(KEY, secret_of(lacking))], app)[0].status == 403
        assert shake([(KEY, secret_of(full))], app)[0].opened
        full.key.refresh_from_db()
        assert full.key.remaining == 4

    def test_a_mistyped_one_is_found_at_start(self) -> None:
        with pytest.raises(ValueError, match="sandbox"):
            PikkuChannelsMiddleware(WhoAmI.as_asgi(), scopes=["sandbox read"])


class TestAnonymous:
    """A host may let callers in who have no credential; never ones whose credential is bad."""

    app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), allow_anonymous=True)

    def test_nobody_comes_in_as_nobody(self) -> None:
        call, first = shake(app=self.app)
        assert (call.opened, first["user"], first["via"]) == (True, None, None)

    def test_who_an_outer_middleware_knows_stays_who_they_are(self, ada: Any) -> None:
        _, first = shake(app=self.app, user=ada)
        assert (first["user"], first["via"]) == (ada.get_username(), None)

    def test_a_bad_key_does_not(self, ada: Any) -> None:
        call, _ = shake([(KEY, "")], self.app, user=ada)
        assert (call.opened, call.status) == (False, 401)

    def test_a_good_key_is_who_has_come(self, ada: Any, mint: Mint) -> None:
        _, first = shake([(KEY, secret_of(mint()))], self.app, user=ada)
        assert first["via"] == "api_key"

    def test_where_a_scope_is_wanted_nobody_has_it(self) -> None:
        app = PikkuChannelsMiddleware(
            WhoAmI.as_asgi(), allow_anonymous=True, scopes=["sandbox:read"]
        )
        assert shake(app=app)[0].status == 401
        inner = PikkuChannelsMiddleware(self.app, allow_anonymous=True)
        assert shake(app=inner, user=AnonymousUser())[0].opened

    def test_an_inner_middleware_may_want_somebody(self) -> None:
        app = PikkuChannelsMiddleware(
            PikkuChannelsMiddleware(WhoAmI.as_asgi()), allow_anonymous=True
        )
        assert shake(app=app)[0].status == 401


class TestOrigins:
    """A browser says which page it is that connects; nobody else does (RFC 6455, 10.2)."""

    ORIGINS: dict[str, Headers] = {
        "another site": [("Origin", EVIL)],
        "null": [("Origin", "null")],
        "none": [],
        "the site's own": [("Origin", OWN)],
        "two": [("Origin", OWN), ("Origin", OWN)],
    }
    ALLOWED = {
        "cookie": {"the site's own"},
        "bearer": {"the site's own", "none"},
        "key": {"the site's own", "none"},
    }

    @pytest.mark.parametrize("origin", ORIGINS)
    @pytest.mark.parametrize("credential", ALLOWED)
    def test_the_table(self, origin: str, credential: str, mint: Mint, ada: Any) -> None:
        given = {
            "cookie": [("Cookie", "sessionid=whatever")],
            "bearer": [*bearer(logged_in(ada)).items()],
            "key": [(KEY, secret_of(mint()))],
        }[credential]
        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), allow_anonymous=True)
        call, _ = shake([*given, *self.ORIGINS[origin]], app)
        if origin in self.ALLOWED[credential]:
            assert call.opened
        else:
            assert (call.status, call.body["code"]) == (403, "origin_not_allowed")

    def test_cookie_of_somebody_else_makes_no_browser(self) -> None:
        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), allow_anonymous=True)
        assert shake([("Cookie", "AWSALB=abc")], app)[0].opened

    def test_a_page_behind_tls_is_the_sites_own(self, mint: Mint) -> None:
        headers = [(KEY, secret_of(mint())), ("Origin", "https://testserver")]
        assert shake(headers, scheme="ws")[0].status == 403
        assert shake(headers, scheme="wss")[0].opened

    def test_a_proxy_may_have_taken_the_tls_away(self, mint: Mint, settings: Any) -> None:
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        headers = [(KEY, secret_of(mint())), ("Origin", "https://testserver")]
        assert shake([*headers, ("X-Forwarded-Proto", "https")])[0].opened

    @pytest.mark.parametrize("origin", ["https://app.example.com", "https://a.trusted.example"])
    def test_the_host_may_trust_others(self, origin: str, mint: Mint, settings: Any) -> None:
        headers = [(KEY, secret_of(mint())), ("Origin", origin)]
        assert shake(headers)[0].status == 403
        trusted = ["https://app.example.com", "https://*.trusted.example"]
        app = PikkuChannelsMiddleware(WhoAmI.as_asgi(), allowed_origins=trusted)
        assert shake(headers, app)[0].opened
        settings.CSRF_TRUSTED_ORIGINS = trusted
        assert shake(headers)[0].opened

    @pytest.mark.parametrize("origin", [[("Origin", "http://evil.example")], []])
    def test_a_host_that_is_not_ours_is_nobodys(self, origin: Headers, mint: Mint) -> None:
        issued = mint(quota=1)
        call, _ = shake([(KEY, secret_of(issued)), *origin], host="evil.example")
        assert (call.status, call.body["code"]) == (403, "origin_not_allowed")
        assert APIKey.objects.get().remaining == 1

    @pytest.mark.parametrize("credential", ["key", "bearer", "ticket"])
    def test_a_credential_is_good_beside_a_cookie_without_an_origin(
        self, credential: str, mint: Mint, ada: Any
    ) -> None:
        given = {
            "key": [(KEY, secret_of(mint()))],
            "bearer": [*bearer(logged_in(ada)).items()],
            "ticket": [(PROTOCOL, ", ".join(offer(issue_again(ada))))],
        }[credential]
        assert shake([*given, ("Cookie", "sessionid=whatever")])[0].opened

    @pytest.mark.parametrize(
        "origins", ["https://app.example.com", ["app.example.com"], ["https://"], ["//x"], [""]]
    )
    def test_what_can_not_be_an_origin_is_found_at_start(self, origins: Any) -> None:
        with pytest.raises(ValueError, match=r'\["https://app\.example\.com"\]'):
            PikkuChannelsMiddleware(WhoAmI.as_asgi(), allowed_origins=origins)


class TestSubprotocols:
    """Ours are for us; the application sees its own."""

    def test_a_ticket_is_nothing_that_the_application_sees(self, ada: Any) -> None:
        ticket = issue_session_ticket(ada, signed_in(ada)).reveal()
        offered = ["graphql-transport-ws", *offer(ticket)]
        _, first = shake([(PROTOCOL, ", ".join(offered))])
        assert first["subprotocols"] == ["graphql-transport-ws"]
        _, first = shake([(PROTOCOL, ", ".join(offer(issue_again(ada))))])
        assert first["subprotocols"] == []
        assert "sec-websocket-protocol" not in first["headers"]

    def test_the_application_may_choose_one_of_its_own(self, mint: Mint) -> None:
        async def go() -> str | None:
            headers = [(PROTOCOL, "graphql-transport-ws, pikku-auth"), (KEY, secret)]
            async with calling(PikkuChannelsMiddleware(Chooser.as_asgi()), headers) as call:
                await call.hang_up()
                return call.subprotocol

        secret = secret_of(mint())
        assert in_time(go) == "graphql-transport-ws"

    def test_who_offers_none_gets_none(self, mint: Mint) -> None:
        call, _ = shake([(KEY, secret_of(mint()))])
        assert call.subprotocol is None


def issue_again(user: Any) -> str:
    return issue_session_ticket(user, signed_in(user)).reveal()


def test_it_is_for_websockets_only() -> None:
    with pytest.raises(ValueError, match="ProtocolTypeRouter"):
        shake(type="http")


def test_a_refusal_is_logged_without_its_credential(mint: Mint, caplog: Any) -> None:
    with caplog.at_level(logging.INFO, "pikku_auth"):
        shake([(PROTOCOL, ", ".join(offer(generate("pkt").reveal())))])
    assert "WebSocket ticket refused: unknown, used or too old" in caplog.text
