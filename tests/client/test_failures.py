"""A call that fails says why: the name, the port, the proxy, the certificate, a redirect."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pikku_auth.client import BadAnswer, Unreachable
from pikku_auth.client.api import AuthServer
from pikku_auth.client.failures import what_happened, where_it_leads
from pikku_auth.client.origins import origin_of
from tests.client.servers import RESET, TOKEN, DeviceServer, Reply, unused_url
from tests.processes import PATIENCE

CERTIFICATE = Path(__file__).with_name("self_signed.pem")
"""Of localhost, with its private key; it ends in 2126."""


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A port where ``serve`` gets the first connection."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            thread.join(PATIENCE)


def hang_up(connection: socket.socket) -> None:
    connection.recv(65_536)


def speak_tls(connection: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with pytest.raises(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secure:
        secure.recv(1)


def failure_of(url: str) -> Unreachable:
    with pytest.raises(Unreachable) as failed:
        AuthServer(url, seconds=PATIENCE).sign_out(TOKEN)
    error = failed.value
    assert str(error).startswith(f"Can't reach {url}: ")
    assert "\n" not in str(error)
    assert error.__notes__
    assert TOKEN not in f"{error} {error.__notes__}"
    return error


def test_name_that_nobody_knows_is_told() -> None:
    error = failure_of("https://no-such-host.invalid")
    assert "the name no-such-host.invalid can't be resolved" in str(error)


def test_port_where_nobody_listens_is_told() -> None:
    url = unused_url()
    port = url.rpartition(":")[2]
    assert f"the connection to port {port} was refused" in str(failure_of(url))


def test_proxy_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    address = unused_url().removeprefix("http://")
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:secret@{address}")
    error = failure_of("https://app.example.com")
    assert f"the proxy {address} can't be used" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("proxy", ["http://[", "http://x:port", ""])
def test_proxy_that_can_not_be_read_is_told_without_it(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    from requests.exceptions import ProxyError

    monkeypatch.setenv("HTTPS_PROXY", proxy)
    told = what_happened(ProxyError("x"), origin_of("https://app.example.com"))
    assert told == "the proxy of this environment can't be used"


def test_certificate_that_can_not_be_verified_is_told_with_a_remedy() -> None:
    with listening(speak_tls) as address:
        told = str(failure_of(f"https://{address}"))
    assert "certificate can't be verified: self-signed certificate" in told
    assert "REQUESTS_CA_BUNDLE" in told


def test_server_without_tls_is_told() -> None:
    with listening(hang_up) as address:
        assert "the TLS handshake failed" in str(failure_of(f"https://{address}"))


def test_bundle_of_certificates_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    assert "REQUESTS_CA_BUNDLE" in str(failure_of("https://app.example.com"))


def test_connection_that_is_closed_is_told(server: DeviceServer) -> None:
    with listening(hang_up) as address:
        assert "was closed by the other side" in str(failure_of(f"http://{address}"))
    server.answer_auth("/sign-out", RESET)
    assert "was closed by the other side" in str(failure_of(server.url))


def test_what_is_not_known_is_told_as_a_broken_connection() -> None:
    origin = origin_of("https://app.example.com")
    assert "no route" in what_happened(OSError(113, "x"), origin)
    assert "the answer broke off" in what_happened(ValueError("x"), origin)


def test_redirect_says_where_it_leads_and_what_to_try(server: DeviceServer) -> None:
    location = "https://www.app.example.com/auth/device/code?token=secret#part"
    server.answer_auth("/device/code", Reply(301, headers={"Location": location}))
    with pytest.raises(BadAnswer) as failed:
        raise AuthServer(server.url).device_code("cli", None).failure("Asking for a code")
    assert str(failed.value) == (
        "Asking for a code failed (301). It redirects to "
        "https://www.app.example.com/auth/device/code. Try --url https://www.app.example.com."
    )


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("/login/?next=/auth/x", "It redirects to https://a.example/login/."),
        ("//b.example:8443/auth/x", "It redirects to https://b.example:8443/auth/x. Try --url https://b.example:8443."),
        ("https://ada:secret@[::1]/auth/x", "It redirects to https://[::1]/auth/x. Try --url https://[::1]."),
        ("https://a.example/auth/x/", "It redirects to https://a.example/auth/x/."),
        ("https://[", "It redirects to an address that can't be read."),
    ],
)  # fmt: skip
def test_target_of_a_redirect_is_shown_without_what_is_confidential(
    location: str, told: str
) -> None:
    assert where_it_leads("https://a.example/auth/x", location, "https://a.example") == told
