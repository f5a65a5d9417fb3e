"""For a resource server in another process: ask whether a presented key or token is good."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple

from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

from pikku_auth import __version__
from pikku_auth.client.api import Answer, body_of, unreachable
from pikku_auth.client.environment import is_token, key_header_of, what_is_wrong_with_key
from pikku_auth.client.exceptions import BadAnswer, BadKey
from pikku_auth.client.http import Anonymous, Session
from pikku_auth.client.origins import normalise_base_url, origin_of_base
from pikku_auth.core.permissions import missing, read_scope_parameter

_MOST_KEPT = 10_000
_MOST_CONNECTIONS = 100


@dataclass(frozen=True, slots=True)
class Introspection:
    """An active key or login, as the server has described it (RFC 7662, 2.2).

    ``token_type`` is ``ApiKey`` for a machine, ``Bearer`` for a human. ``subject`` is the id of
    the Django user; ``client_id`` is the name of the service user, or what the human has logged
    in with. ``key_id`` and ``service_user`` are ``None`` for a login, and ``expires_at`` for what
    has no end. ``metadata`` and ``claims`` are empty unless the :class:`Introspector` asks for
    them.
    """

    token_type: str
    scopes: tuple[str, ...]
    subject: str
    username: str
    client_id: str
    issued_at: datetime
    expires_at: datetime | None = None
    issuer: str | None = None
    key_id: str | None = None
    service_user: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)

    def has_scope(self, *scopes: str) -> bool:
        """Whether every one of ``scopes`` is allowed, by the rules of the server.

        :raises ValueError: when none is given, or one is not of the grammar.
        """
        if not scopes:
            raise ValueError("Name at least one scope.")
        allowed, _others = read_scope_parameter(" ".join(self.scopes))
        return not missing(allowed or {}, scopes)


class _Kept(NamedTuple):
    answer: Introspection
    until: float


class Introspector:
    """Asks the endpoint ``introspect`` below ``auth_path`` of the server at ``url``.

    ``api_key`` is the resource server's own key, with the scope ``auth:introspect``, and with
    ``auth:introspect_logins`` for the logins of humans. It may be used by several threads at once.

    With ``cache_seconds`` an active answer is used again for so long, or until the credential
    ends: so much later is a revocation noticed. At most 10,000 are kept, by the digest of the
    token and the address. ``timeout`` is in seconds: to connect, and between two pieces of an
    answer. ``key_header`` is the server's ``KEY_HEADER``, as for :class:`PikkuAuth`.

    :raises BadKey: when ``api_key`` can't be a key.
    :raises BadUrl: when ``url`` is no address of a server.
    :raises InsecureUrl: for plain ``http``, except to this machine.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str,
        auth_path: str = "/auth",
        cache_seconds: float = 0,
        metadata: bool = False,
        claims: bool = False,
        timeout: float = 10,
        key_header: str | None = None,
    ) -> None:
        if not api_key or (wrong := what_is_wrong_with_key(api_key)) is not None:
            raise BadKey(f"api_key is not a key: {wrong if api_key else 'it is empty'}.")
        base_url = normalise_base_url(url)
        self.url = f"{base_url}/{auth_path.strip('/')}".rstrip("/") + "/introspect"
        self.cache_seconds = cache_seconds
        self._origin = origin_of_base(base_url)
        self._key = _Header(key_header_of(key_header), api_key)
        self._wanted = {"metadata": metadata, "claims": claims}
        self._timeout = timeout
        self._session = _session()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, cache_seconds={self.cache_seconds})"

    def ask(
        self, token: str, source_ip: str | None = None, *, count: bool = False
    ) -> Introspection | None:
        """What the server says of ``token``; ``None`` if it is not active, or can be no token.

        ``source_ip`` is the address of who has presented it: a key that is bound to networks is
        not active without. With ``count`` the call is counted against the limits of a key, and
        noted as its use; such an answer is never taken from the cache, nor put there.

        :raises Unreachable: when there is no answer.
        :raises BadAnswer: when the server says anything else, such as that the key of this
            resource server is not good. Nothing is known of ``token`` then: let nobody in, and
            answer 503.
        """
        if not is_token(token):
            return None
        name = _digest_of(token, source_ip)
        is_cached = self.cache_seconds > 0 and not count
        if is_cached and (kept := self._find(name)) is not None:
            return kept
        found = _read(self._post(token, source_ip, count=count))
        if is_cached and found is not None:
            self._keep(name, found)
        return found

    def _post(self, token: str, source_ip: str | None, *, count: bool) -> Answer:
        flags = {**self._wanted, "count": count}
        form = {"token": token, **{name: "true" for name, asked in flags.items() if asked}}
        if source_ip is not None:
            form["source_ip"] = source_ip
        headers = {"Accept": "application/json", "User-Agent": f"pikku-auth/{__version__}"}
        sent = (token, self._key.value)
        try:
            with self._session.post(
                self.url,
                data=form,
                headers={**headers, self._key.name: self._key.value},
                allow_redirects=False,
                stream=True,
                timeout=self._timeout,
            ) as response:
                return Answer(response.status_code, body_of(response), sent)
        except (RequestException, OSError) as error:
            raise unreachable(self._origin, error, sent) from None

    def _find(self, name: str) -> Introspection | None:
        with self._lock:
            kept = self._kept.get(name)
        if kept is None or time.monotonic() >= kept.until:
            return None
        return deepcopy(kept.answer)

    def _keep(self, name: str, found: Introspection) -> None:
        seconds = self.cache_seconds
        if found.expires_at is not None:
            seconds = min(seconds, (found.expires_at - datetime.now(UTC)).total_seconds())
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = _Kept(deepcopy(found), time.monotonic() + seconds)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    value: str = field(repr=False)


def _session() -> Session:
    """One for many threads: it keeps their connections, and no cookies."""
    session = Session(Anonymous())
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=_MOST_CONNECTIONS))
    return session


def _digest_of(token: str, source_ip: str | None) -> str:
    return sha256(f"{token} {source_ip}".encode()).hexdigest()


def _read(answer: Answer) -> Introspection | None:
    """What an answer says.

    :raises BadAnswer: when it isn't one.
    """
    body = answer.body
    if answer.status != 200 or not isinstance(body, dict):
        raise answer.failure("The introspection")
    if body.get("active") is False:
        return None
    try:
        return _active(body)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise BadAnswer("The server's introspection can't be understood.") from None


def _active(body: dict[str, Any]) -> Introspection:
    if body["active"] is not True:
        raise ValueError("neither true nor false")
    return Introspection(
        token_type=_text(body["token_type"]),
        scopes=tuple(_text(body["scope"]).split()),
        subject=_text(body["sub"]),
        username=_text(body["username"]),
        client_id=_text(body["client_id"]),
        issued_at=_moment(body["iat"]),
        expires_at=_moment(body["exp"]) if "exp" in body else None,
        issuer=_text(body["iss"]) if "iss" in body else None,
        key_id=_text(body["key_id"]) if "key_id" in body else None,
        service_user=_text(body["service_user"]) if "service_user" in body else None,
        metadata=_object(body.get("metadata", {})),
        claims=_object(body.get("claims", {})),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number of seconds")
    return datetime.fromtimestamp(value, UTC)
