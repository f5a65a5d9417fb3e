"""The calls to a server's endpoints, with bounds on time and size."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from requests import Response
from requests.exceptions import InvalidJSONError, RequestException, Timeout

from pikku_auth import __version__
from pikku_auth.client.exceptions import BadAnswer, BadValue, Unreachable
from pikku_auth.client.failures import details_of, what_happened, where_it_leads
from pikku_auth.client.http import Anonymous, Session
from pikku_auth.client.origins import Origin, normalise_base_url, origin_of_base
from pikku_auth.client.text import printable

MAX_BODY = 10_000_000
"""Bytes of an answer, unpacked. A page of a hundred keys may have some millions."""
MAX_SECONDS = 35.0
"""For one call, from the look-up of the name to the last byte."""

_LONGEST_REASON = 300
_LARGEST = 10**10  # seconds are three hundred years, and still make a date


@dataclass(frozen=True)
class Answer:
    """A status, and the body where it was JSON. The body may hold a token."""

    status: int
    body: Any = field(repr=False)
    sent: tuple[str, ...] = field(default=(), repr=False)
    leads: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def error(self) -> str | None:
        """The code of an OAuth error (RFC 6749, 5.2), whatever the status is."""
        return self.text("error")

    def text(self, name: str) -> str | None:
        """A member of the body, if it is text and not empty."""
        value = self.body.get(name) if isinstance(self.body, dict) else None
        return value if isinstance(value, str) and value else None

    def member(self, name: str) -> dict[str, Any]:
        """A member of the body, if it is an object; else an empty one."""
        value = self.body.get(name) if isinstance(self.body, dict) else None
        return value if isinstance(value, dict) else {}

    def number(self, name: str) -> float | None:
        """A member of the body, if it is a number; what is out of all bounds is cut."""
        value = self.body.get(name) if isinstance(self.body, dict) else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(max(-_LARGEST, min(value, _LARGEST)))

    @property
    def code(self) -> str | None:
        """The code of a refusal, as better-auth has it."""
        return self.text("code")

    @property
    def reason(self) -> str:
        """Why the server refuses, in its words, without what was sent in confidence."""
        reason = self.text("error_description") or self.text("message") or self.error or ""
        for secret in self.sent:
            reason = reason.replace(secret, "…")
        return printable(reason, _LONGEST_REASON)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which to ask again, if the server says (RFC 9110, 10.2.3)."""
        text = self.headers.get("Retry-After", "")
        return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

    def failure(self, what: str) -> BadAnswer:
        """One line about it, without what was sent in confidence."""
        reason = self.reason
        hint = "Is --auth-path right?" if self.status == 404 else self.leads
        told = f"{what} failed ({self.status}){': ' if reason else '.'}{reason}"
        return BadAnswer(f"{told} {hint}".rstrip())


class AuthServer:
    """The endpoints below the auth path of one server. Takes no redirect."""

    def __init__(self, url: str, auth_path: str = "/auth", *, seconds: float = MAX_SECONDS) -> None:
        self.base_url = normalise_base_url(url)
        self.origin = origin_of_base(self.base_url)
        self._auth_url = f"{self.base_url}/{auth_path.strip('/')}".rstrip("/")
        self._seconds = seconds

    def device_code(self, client_id: str, scope: str | None) -> Answer:
        """Ask for a device code and a user code (RFC 8628, 3.1)."""
        body = {"client_id": client_id} | ({"scope": scope} if scope else {})
        return self._call("POST", "/device/code", body=body)

    def device_token(
        self, client_id: str, device_code: str, *, seconds: float = MAX_SECONDS
    ) -> Answer:
        """Ask whether the human has decided (RFC 8628, 3.4); give up after ``seconds``."""
        body = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": device_code,
            "client_id": client_id,
        }
        return self._call("POST", "/device/token", body=body, sent=(device_code,), seconds=seconds)

    def get_session(self, token: str) -> Answer:
        """Ask whose token this is; the body is ``None`` if the token is not good."""
        return self._call("GET", "/get-session", token=token)

    def whoami(self, header: str, key: str) -> Answer:
        """Ask what an API key is, as the value of ``header``."""
        return self._call("GET", "/whoami", credential=(header, key))

    def sign_out(self, token: str, *, seconds: float = MAX_SECONDS) -> Answer:
        """End the login; give up after ``seconds``."""
        return self._call("POST", "/sign-out", body={}, token=token, seconds=seconds)

    def key_endpoint(
        self,
        method: str,
        path: str,
        credential: tuple[str, str],
        *,
        members: Mapping[str, object],
        request_id: str | None = None,
    ) -> Answer:
        """Ask an endpoint below ``api-key``; a ``GET`` has its members in the query.

        ``request_id`` is sent as ``Idempotency-Key``.
        """
        return self._call(
            method,
            f"/api-key/{path}",
            body=None if method == "GET" else members,
            query=members if method == "GET" else None,
            credential=credential,
            more={} if request_id is None else {"Idempotency-Key": request_id},
        )

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        token: str | None = None,
        credential: tuple[str, str] | None = None,
        more: Mapping[str, str] | None = None,
        sent: tuple[str, ...] = (),
        seconds: float = MAX_SECONDS,
    ) -> Answer:
        url = f"{self._auth_url}{path}"

        def send() -> Answer:
            with (
                Session(Anonymous()) as session,
                session.request(
                    method,
                    url,
                    params={name: str(value) for name, value in (query or {}).items()},
                    json=body,
                    headers=headers,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                location = response.headers.get("Location", "") if response.is_redirect else ""
                leads = where_it_leads(url, location, self.base_url) if location else ""
                told = body_of(response)
                return Answer(response.status_code, told, sent, leads, response.headers)

        headers = {"Accept": "application/json", "User-Agent": f"pikku-auth/{__version__}"}
        headers.update(more or {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
            sent = (token, *sent)
        if credential is not None:
            headers[credential[0]] = credential[1]
            sent = (credential[1].removeprefix("Bearer "), *sent)
        try:
            return _within(min(seconds, self._seconds), send)
        except InvalidJSONError:
            raise BadValue("A value can't be written as JSON, so nothing was sent.") from None
        except (RequestException, OSError) as error:  # OSError: there is no bundle of certificates
            raise unreachable(self.origin, error, sent) from None


def unreachable(origin: Origin, error: Exception, sent: Iterable[str]) -> Unreachable:
    """What to raise when a server could not be asked, without what was ``sent`` in confidence."""
    told = Unreachable(f"Can't reach {origin}: {what_happened(error, origin)}.")
    for detail in details_of(error, sent):
        told.add_note(detail)
    return told


def _within(seconds: float, act: Callable[[], Answer]) -> Answer:
    """What ``act`` gives, or :class:`Timeout`.

    requests bounds each wait and not their sum, so a server that sends a byte now and
    then could hold on for hours. It holds on to a thread, which ends with the process.
    """
    outcome: list[Answer | Exception] = []

    def run() -> None:
        try:
            outcome.append(act())
        except Exception as error:  # noqa: BLE001  # raised below, in the thread that asked
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise Timeout
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def body_of(response: Response) -> object:
    """The JSON of an answer, or an empty object for anything else.

    :raises BadAnswer: when it is longer than :data:`MAX_BODY`.
    """
    content = bytearray()
    for piece in response.iter_content(65_536):
        content += piece
        if len(content) > MAX_BODY:
            raise BadAnswer("The server's answer is too long.")
    try:
        return json.loads(content, parse_constant=_refused)
    except (ValueError, RecursionError):
        return {}


def _refused(name: str) -> object:
    raise ValueError("NaN and Infinity are not JSON")
