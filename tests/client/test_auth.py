"""PikkuAuth, Session and websocket_headers: the right credential, and nowhere else."""

from __future__ import annotations

import json
import pickle
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from pikku_auth.client import (
    BadKey,
    BadToken,
    BadUrl,
    ClientError,
    InsecureUrl,
    LoginExpired,
    NotLoggedIn,
    PikkuAuth,
    Session,
    StoreError,
    websocket_headers,
)
from pikku_auth.client.auth import Credential
from pikku_auth.client.http import Anonymous
from pikku_auth.client.store import Store
from tests.cases import in_turn
from tests.client.conftest import KEY, a_login
from tests.client.servers import TOKEN, DeviceServer, Reply, Seen, Server
from tests.processes import PATIENCE

BEARER = f"Bearer {TOKEN}"
APP = "https://app.example.com"

MakeSession = Callable[[], requests.Session]


def plain_session() -> requests.Session:
    session = requests.Session()
    session.auth = PikkuAuth()
    return session


@pytest.fixture(params=[plain_session, Session], ids=["requests.Session", "Session"])
def make_session(request: pytest.FixtureRequest) -> MakeSession:
    made: MakeSession = request.param
    return made


@pytest.fixture
def here(elsewhere: Server) -> Server:
    """A server that answers at ``/``."""
    elsewhere.answer("/", Reply(body="here"))
    return elsewhere


@pytest.fixture
def netrc(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / "netrc"
    file.write_text("machine 127.0.0.1 login u password p\ndefault login u password p\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


def credentials(seen: Seen) -> dict[str, str]:
    """The headers by which one is let in."""
    names = {"authorization", "x-api-key", "proxy-authorization"}
    return {name: value for name, value in seen.headers.items() if name in names}


def test_the_key_of_the_environment_is_sent(
    here: Server, key: str, make_session: MakeSession
) -> None:
    with make_session() as session:
        session.get(here.url)
    assert credentials(here.seen[0]) == {"x-api-key": KEY}


def test_the_login_at_that_origin_is_sent(
    here: Server, store: Store, make_session: MakeSession
) -> None:
    store.save(a_login(here.url))
    with make_session() as session:
        session.get(here.url)
    assert credentials(here.seen[0]) == {"authorization": BEARER}


def test_the_key_wins_over_a_login(here: Server, store: Store, key: str) -> None:
    store.save(a_login(here.url))
    requests.get(here.url, auth=PikkuAuth(), timeout=5)
    assert credentials(here.seen[0]) == {"x-api-key": KEY}


def test_the_token_of_the_environment_is_sent_to_who_is_asked(
    here: Server, server: Server, make_session: MakeSession, token: str
) -> None:
    server.answer("/", Reply(body="there"))
    with make_session() as session:
        session.get(here.url)
        session.get(f"{server.url}/")
    for asked in (here, server):
        assert credentials(asked.seen[0]) == {"authorization": f"Bearer {token}"}


def test_the_token_wins_over_a_stored_login(store: Store, token: str) -> None:
    store.save(a_login(APP))
    assert PikkuAuth().headers_for(APP) == {"Authorization": f"Bearer {token}"}


def test_the_key_wins_over_the_token(key: str, token: str) -> None:
    assert PikkuAuth().headers_for(APP) == {"x-api-key": KEY}


def test_the_token_follows_to_no_other_origin(here: Server, server: Server, token: str) -> None:
    here.answer("/", Reply(302, headers={"Location": f"{server.url}/"}))
    server.answer("/", Reply(body="there"))
    requests.get(here.url, auth=PikkuAuth(), timeout=5)
    assert credentials(here.seen[0]) != {}
    assert credentials(server.seen[0]) == {}


def test_an_empty_key_counts_as_absent(
    here: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIKKU_API_KEY", "")
    monkeypatch.setenv("PIKKU_TOKEN", "")
    store.save(a_login(here.url))
    requests.get(here.url, auth=PikkuAuth(), timeout=5)
    assert credentials(here.seen[0]) == {"authorization": BEARER}


def test_a_login_at_an_address_with_a_path_is_for_its_origin(store: Store) -> None:
    store.save(a_login(f"{APP}/one"))
    assert PikkuAuth().headers_for(f"{APP}/two") == {"Authorization": BEARER}


def test_of_several_logins_at_an_origin_the_one_for_the_path_is_taken(store: Store) -> None:
    store.save(a_login(f"{APP}/one", access_token="for-one"))
    store.save(a_login(f"{APP}/one/deep", access_token="for-one-deep"))
    store.save(a_login(f"{APP}/other", access_token="for-other"))
    auth = PikkuAuth()
    assert auth.headers_for(f"{APP}/one") == {"Authorization": "Bearer for-one"}
    assert auth.headers_for(f"{APP}/one/x") == {"Authorization": "Bearer for-one"}
    assert auth.headers_for(f"{APP}/one/deep/x") == {"Authorization": "Bearer for-one-deep"}
    assert auth.headers_for(f"{APP}/onerous") == {"Authorization": "Bearer for-other"}


LOOKALIKES = [
    "https://app.example.com:8443",
    "http://localhost",
    "https://app.example.com.",
    "https://app.example.com.evil.test",
    "https://app-example.com",
    "https://appexample.com",
    "https://evil.test/app.example.com",
    "https://evil.test?https://app.example.com",
    "https://evil.test#app.example.com",
    "https://xapp.example.com",
    "https://sub.app.example.com",
    "https://example.com",
    "https://app.examp1e.com",
    "https://xn--app-example-com",
    "https://app.example.co",
    "https://app.example.com0",
    "https://[::1]",
]


@pytest.mark.parametrize("url", LOOKALIKES)
def test_a_lookalike_of_the_server_is_not_logged_in(store: Store, url: str) -> None:
    store.save(a_login(APP))
    with pytest.raises(NotLoggedIn):
        PikkuAuth().headers_for(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com@evil.test",
        "https://app.example.com:443@evil.test",
        "https://app.example.com\\@evil.test",
        "https://app.example.com\\.evil.test",
        "https://evil.test\\@app.example.com",
    ],
)
def test_an_address_that_hides_its_host_is_refused(store: Store, url: str) -> None:
    store.save(a_login(APP))
    with pytest.raises(BadUrl):
        PikkuAuth().headers_for(url)


@pytest.mark.parametrize("url", ["https://APP.EXAMPLE.COM", "https://app.example.com:443/x?y"])
def test_another_way_to_write_the_server_is_logged_in(store: Store, url: str) -> None:
    store.save(a_login(APP))
    assert PikkuAuth().headers_for(url) == {"Authorization": BEARER}


def test_an_entry_that_is_no_login_at_an_address_is_left_out(store: Store) -> None:
    store.path.parent.mkdir()
    entries = {"no address": {"accessToken": "x"}, APP: "no login"}
    store.path.write_text(json.dumps({"sessions": entries}))
    with pytest.raises(NotLoggedIn):
        PikkuAuth().headers_for(APP)


def test_a_request_can_be_prepared_for_later(key: str) -> None:
    request = requests.Request("GET", APP, auth=PikkuAuth()).prepare()
    assert request.headers["x-api-key"] == KEY


def test_without_a_credential_the_error_says_what_to_run() -> None:
    with pytest.raises(NotLoggedIn, match=r"pikku-auth login --url https://app\.example\.com$"):
        PikkuAuth().headers_for(f"{APP}/x")


def test_a_credential_may_be_optional(here: Server) -> None:
    requests.get(here.url, auth=PikkuAuth(required=False), timeout=5)
    assert credentials(here.seen[0]) == {}


OVER = "2026-01-01T00:00:00.000Z"


def test_login_whose_stored_expiry_has_passed_is_sent_as_servers_renew_logins(
    store: Store, server: DeviceServer
) -> None:
    store.save(a_login(server.url, expires_at=OVER))
    server.answer("/", Reply(body={}))
    with Session() as session:
        assert session.get(server.url).ok
    assert requests.get(server.url, auth=PikkuAuth(), timeout=PATIENCE).ok
    assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {TOKEN}"}


def test_401_for_it_is_an_expired_login_and_says_what_to_run(
    store: Store, server: DeviceServer
) -> None:
    store.save(a_login(server.url, expires_at=OVER))
    server.answer("/", Reply(401, {}))
    with Session() as session, pytest.raises(LoginExpired, match=rf"login --url {server.url}$"):
        session.get(server.url)
    store.save(a_login(server.url))
    with Session() as session:
        assert session.get(server.url).status_code == 401


def test_a_credential_may_be_bound_to_one_server(key: str) -> None:
    auth = PikkuAuth(f"{APP}/x/")
    assert auth.headers_for(f"{APP}/y") == {"x-api-key": KEY}
    with pytest.raises(BadUrl):
        auth.headers_for("https://other.example.com")


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        (f"{KEY}\n", "it ends with a line end"),
        (f"'{KEY}'", "it is in quotes"),
        (f'"{KEY}', "it is in quotes"),
        (f"Bearer {KEY}", "it begins with “Bearer”"),
    ],
)
def test_key_that_was_pasted_with_something_around_it_says_what(
    monkeypatch: pytest.MonkeyPatch, pasted: str, words: str
) -> None:
    monkeypatch.setenv("PIKKU_API_KEY", pasted)
    with pytest.raises(BadKey, match=words) as refused:
        PikkuAuth().headers_for(APP)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("bad", ["with space", "line\nend", "trailing\n", "ключ", "k" * 129, " "])
def test_what_can_not_be_a_key_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setenv("PIKKU_API_KEY", bad)
    with pytest.raises(BadKey) as caught:
        PikkuAuth().headers_for(APP)
    assert bad.strip() == "" or bad not in str(caught.value)


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        (f"{TOKEN}\n", "it ends with a line end. Write the token alone"),
        (f"bearer {TOKEN}", "it begins with “Bearer”. Write the token alone"),
        ("t" * 4097, "a token has up to 4096 printable ASCII characters"),
    ],
)
def test_what_can_not_be_a_token_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, pasted: str, words: str
) -> None:
    monkeypatch.setenv("PIKKU_TOKEN", pasted)
    with pytest.raises(BadToken, match=words) as refused:
        PikkuAuth().headers_for(APP)
    assert TOKEN not in str(refused.value)
    assert pasted not in str(refused.value)


@given(st.text(max_size=200).filter(lambda text: "\0" not in text))
@example("k" * 128)
@example("two words")
def test_no_key_makes_requests_complain_of_a_header(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIKKU_API_KEY", text.encode("utf-8", "ignore").decode())
        try:
            headers = PikkuAuth(required=False).headers_for("http://localhost")
        except BadKey:
            return
    requests.Request("GET", "http://localhost", headers=headers).prepare()


def test_a_stored_token_that_can_not_be_a_header_is_refused_and_not_repeated(
    store: Store,
) -> None:
    store.save(a_login(APP, access_token="one\r\nX-Two: 2"))
    with pytest.raises(StoreError) as caught:
        PikkuAuth().headers_for(APP)
    assert "X-Two" not in str(caught.value)


class Dialled(Exception):
    """A socket was about to connect."""


@pytest.fixture
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise Dialled

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_guard_against_sockets_works(no_socket: None) -> None:
    with pytest.raises(Dialled):
        requests.get("http://example.test", timeout=5)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.test",
        "http://localhost.evil.test",
        "http://127.0.0.1.evil.test",
        "http://localhost@evil.test",
    ],
)
def test_plain_http_is_refused_before_there_is_a_socket(
    no_socket: None, key: str, make_session: MakeSession, url: str
) -> None:
    with make_session() as session, pytest.raises((InsecureUrl, BadUrl)):
        session.get(url)


def test_the_session_refuses_plain_http_without_a_credential_too(no_socket: None) -> None:
    with Session(Anonymous()) as session, pytest.raises(InsecureUrl):
        session.get("http://example.test")


@pytest.mark.parametrize(("status", "kind"), in_turn([301, 302, 303, 307, 308], ["key", "login"]))
def test_no_credential_follows_to_another_origin(
    here: Server,
    server: Server,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    make_session: MakeSession,
    status: int,
    kind: str,
) -> None:
    if kind == "key":
        monkeypatch.setenv("PIKKU_API_KEY", KEY)
    store.save(a_login(server.url))
    store.save(a_login(here.url))
    server.answer("/", Reply(status, headers={"Location": f"{here.url}/"}))
    with make_session() as session:
        response = session.post(server.url)
    assert response.json() == "here"
    assert len(credentials(server.seen[0])) == 1
    assert credentials(here.seen[0]) == {}
    assert TOKEN not in repr(here.seen[0])


@pytest.mark.parametrize(
    "location",
    ["//127.0.0.1:{port}/", "http://localhost:{port}/", "HTTP://127.0.0.1:{port}"],
)
def test_no_credential_follows_however_the_other_origin_is_written(
    here: Server, server: Server, key: str, make_session: MakeSession, location: str
) -> None:
    server.answer("/", Reply(302, headers={"Location": location.format(port=here.port)}))
    with make_session() as session:
        assert session.get(server.url).json() == "here"
    assert credentials(here.seen[0]) == {}


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{ours}@127.0.0.1:{port}/",
        "http://127.0.0.1:{ours}\\@127.0.0.1:{port}/",
        "http://127.0.0.1:{ours}%5C@127.0.0.1:{port}/",
        "http://user:password@127.0.0.1:{port}/",
    ],
)
def test_no_credential_follows_behind_a_user_name(
    here: Server, server: Server, key: str, location: str
) -> None:
    location = location.format(port=here.port, ours=server.port)
    server.answer("/", Reply(302, headers={"Location": location}))
    with plain_session() as session:
        session.get(server.url)
    assert credentials(here.seen[0]) == {}
    with Session() as session, pytest.raises(BadUrl):
        session.get(server.url)
    assert len(here.seen) == 1


def test_no_credential_goes_on_to_a_third_origin(
    here: Server, server: Server, key: str, make_session: MakeSession
) -> None:
    server.answer("/", Reply(302, headers={"Location": "/again"}))
    server.answer("/again", Reply(302, headers={"Location": here.url}))
    with make_session() as session:
        session.get(server.url)
    assert [credentials(seen) for seen in server.seen] == [{"x-api-key": KEY}] * 2
    assert credentials(here.seen[0]) == {}


def test_a_credential_does_not_come_back_with_the_way_back(
    here: Server, server: Server, key: str, make_session: MakeSession
) -> None:
    server.answer("/", Reply(302, headers={"Location": f"{here.url}/back"}))
    here.answer("/back", Reply(302, headers={"Location": f"{server.url}/end"}))
    with make_session() as session:
        session.get(server.url)
    assert credentials(server.to("/end")[0]) == {}


@pytest.mark.parametrize("location", ["/end", "end", "//127.0.0.1:{port}/end", "{url}/end"])
def test_a_credential_follows_within_the_origin(
    server: Server, key: str, make_session: MakeSession, location: str
) -> None:
    location = location.format(port=server.port, url=server.url)
    server.answer("/", Reply(302, headers={"Location": location}))
    server.answer("/end", Reply(body="end"))
    with make_session() as session:
        assert session.get(server.url).json() == "end"
    assert credentials(server.to("/end")[0]) == {"x-api-key": KEY}


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_same_host_by_another_scheme_is_another_origin(
    server: Server, key: str, make_session: MakeSession, scheme: str
) -> None:
    other = f"https://127.0.0.1:{server.port}/" if scheme == "https" else "http://example.test/"
    server.answer("/", Reply(302, headers={"Location": other}))
    with make_session() as session:
        follow = session.get(server.url, allow_redirects=False).next
    assert follow is not None
    assert follow.url == other
    assert {"x-api-key", "authorization"}.isdisjoint(name.lower() for name in follow.headers)


def test_the_session_takes_no_header_of_ones_own_elsewhere_either(
    here: Server, server: Server
) -> None:
    server.answer("/", Reply(302, headers={"Location": here.url}))
    with Session(Anonymous()) as session:
        session.get(server.url, headers={"X-API-Key": KEY, "Authorization": BEARER})
    assert len(credentials(server.seen[0])) == 2
    assert credentials(here.seen[0]) == {}


def test_the_session_follows_nowhere_over_plain_http(server: Server, key: str) -> None:
    server.answer("/", Reply(302, headers={"Location": "http://example.test/"}))
    with Session() as session, pytest.raises(InsecureUrl):
        session.get(server.url)


def test_netrc_does_not_replace_the_credential(
    here: Server, store: Store, netrc: None, make_session: MakeSession
) -> None:
    store.save(a_login(here.url))
    with make_session() as session:
        session.get(here.url)
    assert credentials(here.seen[0]) == {"authorization": BEARER}


def test_netrc_is_what_requests_alone_would_send(here: Server, netrc: None) -> None:
    requests.get(here.url, timeout=5)
    assert credentials(here.seen[0])["authorization"].startswith("Basic ")


def test_the_session_never_reads_netrc(here: Server, server: Server, key: str, netrc: None) -> None:
    server.answer("/", Reply(302, headers={"Location": "/again"}))
    server.answer("/again", Reply(302, headers={"Location": here.url}))
    with Session() as session:
        session.get(server.url)
        session.auth = None
        session.get(here.url)
    assert [credentials(seen) for seen in server.seen] == [{"x-api-key": KEY}] * 2
    assert [credentials(seen) for seen in here.seen] == [{}, {}]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_session_goes_to_this_machine_without_a_proxy(
    here: Server, server: Server, key: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, server.url)
    here.answer("/", Reply(302, headers={"Location": "/again"}))
    here.answer("/again", Reply(body="here"))
    with Session() as session:
        assert session.get(here.url).json() == "here"
    assert server.seen == []


def test_a_plain_session_is_kept_from_showing_the_credential_to_a_proxy(
    here: Server, server: Server, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    with plain_session() as session, pytest.raises(InsecureUrl, match="NO_PROXY"):
        session.get(here.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with plain_session() as session:
        assert session.get(here.url).json() == "here"
    assert server.seen == []


def test_a_proxy_of_the_environment_is_used_for_https(
    server: Server, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url)
    with Session() as session, pytest.raises(requests.exceptions.ProxyError):
        session.get(APP)
    assert KEY not in repr(server.seen)


def test_the_session_has_timeouts_unless_told_otherwise(
    here: Server, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeouts = []
    send = requests.adapters.HTTPAdapter.send

    def noting(self: object, *arguments: object, **options: object) -> object:
        timeouts.append(options["timeout"])
        return send(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", noting)
    with Session() as session:
        session.get(here.url)
        session.get(here.url, timeout=7)
    assert timeouts == [(5.0, 30.0), 7]


def test_the_session_takes_another_credential_for_one_request(here: Server, key: str) -> None:
    with Session() as session:
        session.get(here.url, auth=("ada", "password"))
        request = requests.Request("GET", here.url)
        session.send(session.prepare_request(request))
    assert credentials(here.seen[0]).keys() == {"authorization"}
    assert credentials(here.seen[1]) == {"x-api-key": KEY}
    assert request.auth is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://app.example.com/ws", {"Authorization": BEARER}),
        ("WSS://APP.example.com:443/ws", {"Authorization": BEARER}),
        ("ws://localhost:3000/ws", {"Authorization": "Bearer local"}),
    ],
)
def test_a_websocket_gets_the_same_header(store: Store, url: str, expected: dict[str, str]) -> None:
    store.save(a_login("http://localhost:3000", access_token="local"))
    store.save(a_login(APP))
    assert websocket_headers(url) == expected


def test_a_websocket_gets_the_key(key: str) -> None:
    assert websocket_headers("wss://app.example.com") == {"x-api-key": KEY}


def test_a_websocket_without_a_credential_is_told(key: str) -> None:
    with pytest.raises(InsecureUrl):
        websocket_headers("ws://app.example.com")
    for url in ("https://app.example.com", "app.example.com", ""):
        with pytest.raises(BadUrl):
            websocket_headers(url)


def test_a_websocket_may_go_without() -> None:
    assert websocket_headers("wss://app.example.com", required=False) == {}
    with pytest.raises(NotLoggedIn):
        websocket_headers("wss://app.example.com")


def test_no_object_shows_a_secret(here: Server, store: Store, key: str) -> None:
    store.save(a_login(here.url))
    auth, session = PikkuAuth(here.url), Session()
    with session:
        session.get(here.url)
    things = [auth, session, store, a_login(), Credential("x-api-key", KEY, "here")]
    text = "".join(f"{thing!r}{thing!s}" for thing in things)
    text += repr([vars(auth), vars(session), pickle.dumps(auth), pickle.dumps(session)])
    assert KEY not in text
    assert TOKEN not in text
    assert repr(auth) == f"PikkuAuth({here.url!r}, required=True)"


def test_every_error_can_be_caught_as_one() -> None:
    for error in (BadKey, BadUrl, InsecureUrl, LoginExpired, NotLoggedIn, StoreError):
        assert issubclass(error, ClientError)
