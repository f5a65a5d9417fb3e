"""Real HTTP servers on loopback whose answers are written by the test."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.processes import PATIENCE

TOKEN = "pks_TokenOfTheClientTests0123456789"
DEVICE_CODE = "DeviceCodeOfTheClientTests0123456789abcd"
USER_CODE = "WDJBMJHT"
USER = {"id": "7", "email": "ada@example.com", "name": "Ada"}


@dataclass(frozen=True)
class Seen:
    """One request, as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What is answered. With ``reset`` nothing is, and the connection is torn down."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    reset: bool = False

    def content(self) -> bytes:
        return json.dumps(self.body).encode() if self.raw is None else self.raw


def error(code: str, description: str = "", status: int = 400) -> Reply:
    """An OAuth error (RFC 6749, 5.2)."""
    return Reply(status, {"error": code, "error_description": description})


RESET = Reply(reset=True)
PENDING = error("authorization_pending", "Authorization pending")
SLOW_DOWN = error("slow_down", "Polling too frequently")
DENIED = error("access_denied", "Access denied")
EXPIRED = error("expired_token", "Device code has expired")
GRANTED = Reply(
    body={"access_token": TOKEN, "token_type": "Bearer", "expires_in": 604800, "scope": ""}
)


class Server:
    """Answers each path with its replies in turn; the last one is repeated."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.replies: dict[str, deque[Reply]] = {}
        self.on_request: Callable[[Seen], None] = lambda seen: None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._thread.join(PATIENCE)
        self._http.server_close()

    def answer(self, path: str, *replies: Reply) -> None:
        self.replies[path] = deque(replies)

    def to(self, path: str) -> list[Seen]:
        """The requests to that path."""
        return [seen for seen in self.seen if seen.path == path]

    def _reply_to(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        self.on_request(seen)
        replies = self.replies.get(seen.path.partition("?")[0])
        if not replies:
            return Reply(404, raw=b"")
        return replies.popleft() if len(replies) > 1 else replies[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, self.rfile.read(length))
                self.send(server._reply_to(seen))

            do_POST = do_GET  # noqa: N815  # the name is of http.server

            def send(self, reply: Reply) -> None:
                if reply.reset:
                    tear_down(self.connection)
                    self.close_connection = True
                    return
                content = reply.content()
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        return Handler


def tear_down(connection: socket.socket) -> None:
    """End a connection by RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()


class DeviceServer(Server):
    """Speaks the contract's device login below ``/auth``; approved at the first poll."""

    def __init__(self, auth_path: str = "/auth") -> None:
        super().__init__()
        self.auth_path = auth_path
        self.answer_auth("/device/code", self.codes())
        self.answer_auth("/device/token", GRANTED)
        self.answer_auth("/get-session", self.session())
        self.answer_auth("/sign-out", Reply(body={"success": True}))

    def answer_auth(self, path: str, *replies: Reply) -> None:
        self.answer(f"{self.auth_path}{path}", *replies)

    def polls(self) -> list[Seen]:
        return self.to(f"{self.auth_path}/device/token")

    def codes(self, **changes: object) -> Reply:
        body = {
            "device_code": DEVICE_CODE,
            "user_code": USER_CODE,
            "verification_uri": f"{self.url}/device",
            "verification_uri_complete": f"{self.url}/device?user_code={USER_CODE}",
            "expires_in": 1800,
            "interval": 5,
        }
        return Reply(body=body | changes)

    def session(self, **changes: object) -> Reply:
        session = {"expiresAt": "2100-01-02T03:04:05.000Z", "token": TOKEN, "id": "1"}
        return Reply(body={"session": session | changes, "user": USER | {"image": None}})


@contextmanager
def trickling() -> Iterator[str]:
    """A server that begins an answer, and sends a little more of it again and again."""
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.05):
                connection.sendall(b"X-More: 1\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join(PATIENCE)


def unused_url() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
