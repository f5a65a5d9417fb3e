"""The twin for httpx: the same credential, to the same origin, and no further."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pikku_auth.client import BadUrl, InsecureUrl, LoginExpired, NotLoggedIn
from pikku_auth.client.ext.httpx import PikkuHTTPXAuth
from pikku_auth.client.store import Store
from tests.cases import in_turn
from tests.client.conftest import a_login
from tests.client.servers import TOKEN, Reply, Server

BEARER = f"Bearer {TOKEN}"

Get = Callable[..., httpx.Response]


def get(url: str, **options: Any) -> httpx.Response:
    client_options = {name: options.pop(name) for name in ("auth", "follow_redirects")}
    with httpx.Client(**client_options) as client:
        return client.request(options.pop("method", "GET"), url, **options)


def aget(url: str, **options: Any) -> httpx.Response:
    client_options = {name: options.pop(name) for name in ("auth", "follow_redirects")}

    async def go() -> httpx.Response:
        async with httpx.AsyncClient(**client_options) as client:
            return await client.request(options.pop("method", "GET"), url, **options)

    return asyncio.run(go())


@pytest.fixture(params=[get, aget], ids=["Client", "AsyncClient"])
def ask(request: pytest.FixtureRequest) -> Get:
    def go(url: str, **options: Any) -> httpx.Response:
        defaults = {"auth": PikkuHTTPXAuth(), "follow_redirects": True}
        response: httpx.Response = request.param(url, **{**defaults, **options})
        return response

    return go


@pytest.fixture
def here(server: Server) -> Server:
    server.answer("/", Reply(body={}))
    return server


def test_login_whose_stored_expiry_has_passed_is_sent_and_401_says_that_it_is_over(
    ask: Get, here: Server, store: Store
) -> None:
    store.save(a_login(here.url, expires_at="2026-01-01T00:00:00.000Z"))
    assert ask(here.url).status_code == 200
    assert credentials(here) == {"authorization": BEARER}
    here.answer("/", Reply(401, {}))
    with pytest.raises(LoginExpired, match="Run: pikku-auth login"):
        ask(here.url)


def credentials(server: Server, place: int = -1) -> dict[str, str]:
    headers = server.seen[place].headers
    return {name: headers[name] for name in ("x-api-key", "authorization") if name in headers}


def test_the_key_of_the_environment_is_sent(ask: Get, here: Server, key: str) -> None:
    assert ask(here.url).status_code == 200
    assert credentials(here) == {"x-api-key": key}


def test_the_token_of_the_environment_is_sent(ask: Get, here: Server, token: str) -> None:
    ask(here.url)
    assert credentials(here) == {"authorization": f"Bearer {token}"}


def test_the_login_of_the_origin_is_sent(ask: Get, here: Server, store: Store) -> None:
    store.save(a_login(here.url))
    ask(here.url)
    assert credentials(here) == {"authorization": BEARER}


def test_a_credential_replaces_what_a_request_has_of_its_own(
    ask: Get, here: Server, key: str
) -> None:
    ask(here.url, headers={"X-API-Key": "another", "Authorization": "Basic another", "X-A": "1"})
    assert credentials(here) == {"x-api-key": key}
    assert here.seen[-1].headers["x-a"] == "1"


def test_another_origins_login_is_not_sent(ask: Get, here: Server, store: Store) -> None:
    store.save(a_login("https://app.example.com"))
    with pytest.raises(NotLoggedIn):
        ask(here.url)
    assert here.seen == []


def test_a_request_may_go_without(ask: Get, here: Server) -> None:
    assert ask(here.url, auth=PikkuHTTPXAuth(required=False)).status_code == 200
    assert credentials(here) == {}


def test_a_credential_may_be_for_one_server(
    ask: Get, here: Server, elsewhere: Server, key: str
) -> None:
    auth = PikkuHTTPXAuth(here.url)
    assert ask(here.url, auth=auth).status_code == 200
    with pytest.raises(BadUrl):
        ask(elsewhere.url, auth=auth)
    assert elsewhere.seen == []


def test_a_credential_is_not_sent_in_the_clear(ask: Get, key: str) -> None:
    with pytest.raises(InsecureUrl):
        ask("http://app.example.com")


def test_a_credential_is_not_shown_to_the_environments_proxy(
    ask: Get, here: Server, elsewhere: Server, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", elsewhere.url)
    with pytest.raises(InsecureUrl, match="to NO_PROXY, by that name"):
        ask(here.url)
    monkeypatch.setenv("no_proxy", "localhost, 127.0.0.1")
    assert ask(here.url).status_code == 200
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("spared", "kind"),
    in_turn(["127.0.0.0/8", "0.0.1", "*.0.0.1", "localhost"], ["http", "all"]),
)
def test_a_credential_is_not_shown_where_httpx_may_read_no_proxy_otherwise(
    ask: Get,
    here: Server,
    elsewhere: Server,
    key: str,
    kind: str,
    spared: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests knows networks, httpx doesn't; so only the host's own name counts."""
    monkeypatch.setenv(f"{kind}_proxy", elsewhere.url)
    monkeypatch.setenv("no_proxy", spared)
    with pytest.raises(InsecureUrl):
        ask(here.url)
    assert elsewhere.seen == []


def test_a_proxy_of_another_scheme_is_none(
    ask: Get, here: Server, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    assert ask(here.url).status_code == 200


class TestRedirects:
    """To the same origin it goes along, to another it does not."""

    @pytest.fixture(params=["key", "login"])
    def credential(self, request: pytest.FixtureRequest, here: Server, store: Store) -> str:
        if request.param == "key":
            request.getfixturevalue("key")
        else:
            store.save(a_login(here.url))
        return str(request.param)

    @pytest.mark.parametrize(
        ("status", "credential"),
        in_turn([301, 302, 303, 307, 308], ["key", "login"]),
        indirect=["credential"],
    )
    @pytest.mark.usefixtures("credential")
    def test_a_redirect_to_another_origin_gets_no_credential(
        self, ask: Get, here: Server, elsewhere: Server, status: int
    ) -> None:
        here.answer("/away", Reply(status, headers={"Location": f"{elsewhere.url}/there"}))
        elsewhere.answer("/there", Reply(401, body={}))
        assert ask(f"{here.url}/away").status_code == 401
        assert credentials(here) != {}
        assert credentials(elsewhere) == {}
        assert len(elsewhere.seen) == 1

    @pytest.mark.usefixtures("credential")
    def test_a_redirect_back_and_forth_gets_no_credential(
        self, ask: Get, here: Server, elsewhere: Server
    ) -> None:
        here.answer("/away", Reply(307, headers={"Location": f"{elsewhere.url}/back"}))
        elsewhere.answer("/back", Reply(307, headers={"Location": f"{here.url}/away2"}))
        here.answer("/away2", Reply(307, headers={"Location": f"{elsewhere.url}/there"}))
        elsewhere.answer("/there", Reply(200, body={}))
        ask(f"{here.url}/away")
        assert [credentials(elsewhere, place) for place in range(2)] == [{}, {}]

    @pytest.mark.usefixtures("credential")
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_the_first_origin_gets_no_credential_where_another_sends_back_to_it(
        self, ask: Get, here: Server, elsewhere: Server, method: str
    ) -> None:
        here.answer("/away", Reply(307, headers={"Location": f"{elsewhere.url}/back"}))
        elsewhere.answer("/back", Reply(307, headers={"Location": f"{here.url}/delete"}))
        here.answer("/delete", Reply(401, body={}))
        assert ask(f"{here.url}/away", method=method, content=b"all").status_code == 401
        assert (len(here.to("/delete")), credentials(here)) == (1, {})

    @pytest.mark.usefixtures("credential")
    @pytest.mark.parametrize(
        ("status", "credential"),
        in_turn([301, 302, 303, 307, 308], ["key", "login"]),
        indirect=["credential"],
    )
    def test_a_redirected_request_that_is_safe_gets_the_credential_at_once(
        self, ask: Get, here: Server, status: int
    ) -> None:
        """As of a host that appends a slash, whose page then answers anybody."""
        here.answer("/page", Reply(status, headers={"Location": "/page/"}))
        here.answer("/page/", Reply(200, body={"for": "nobody"}), Reply(200, body={"for": "ada"}))
        assert ask(f"{here.url}/page").json() == {"for": "ada"}
        assert credentials(here) != {}

    @pytest.mark.usefixtures("credential")
    def test_each_of_several_redirects_gets_the_credential(self, ask: Get, here: Server) -> None:
        """Nobody may be sent to a page to sign in at, and ada on."""
        here.answer("/one", Reply(302, headers={"Location": "/two"}))
        to_sign_in = Reply(302, headers={"Location": "/sign-in"})
        here.answer("/two", to_sign_in, Reply(302, headers={"Location": "/three"}))
        here.answer("/sign-in", Reply(200, body={}))
        here.answer("/three", Reply(200, body={"for": "ada"}))
        assert ask(f"{here.url}/one").json() == {"for": "ada"}

    @pytest.mark.usefixtures("credential")
    def test_a_redirected_request_that_may_have_acted_is_not_repeated(
        self, ask: Get, here: Server
    ) -> None:
        here.answer("/moved", Reply(307, headers={"Location": "/here"}))
        here.answer("/here", Reply(200, body={}))
        assert ask(f"{here.url}/moved", method="POST", content=b"once").status_code == 200
        assert len(here.to("/here")) == 1

    @pytest.mark.usefixtures("credential")
    def test_the_same_origin_gets_the_credential_when_it_asks(self, ask: Get, here: Server) -> None:
        here.answer("/moved", Reply(307, headers={"Location": "/here"}))
        here.answer("/here", Reply(401, body={}), Reply(200, body={"made": True}))
        answer = ask(f"{here.url}/moved", method="POST", content=b"once more")
        assert (answer.status_code, answer.json()) == (200, {"made": True})
        assert here.seen[-1].body == b"once more"
        assert credentials(here) != {}

    def test_a_redirect_is_asked_with_the_credential_once(
        self, ask: Get, here: Server, key: str
    ) -> None:
        here.answer("/moved", Reply(307, headers={"Location": "/here"}))
        here.answer("/here", Reply(401, body={}))
        assert ask(f"{here.url}/moved").status_code == 401
        assert len(here.to("/here")) == 2

    def test_an_address_that_can_not_be_read_gets_no_credential(
        self, ask: Get, here: Server, key: str
    ) -> None:
        here.answer("/away", Reply(307, headers={"Location": f"http://me@127.0.0.1:{here.port}/"}))
        here.answer("/", Reply(401, body={}))
        assert ask(f"{here.url}/away").status_code == 401
        assert (len(here.seen), credentials(here)) == (2, {})

    def test_a_redirect_that_is_not_followed_carries_nothing_on(
        self, ask: Get, here: Server, key: str
    ) -> None:
        here.answer("/moved", Reply(307, headers={"Location": "/here"}))
        answer = ask(f"{here.url}/moved", follow_redirects=False)
        assert answer.next_request is not None
        assert "x-api-key" not in answer.next_request.headers


def test_no_object_shows_a_secret(ask: Get, here: Server, key: str) -> None:
    auth = PikkuHTTPXAuth(here.url)
    answer = ask(here.url, auth=auth)
    shown = [auth, answer, answer.request, answer.request.headers, dict(answer.request.headers)]
    assert key not in repr(shown)
