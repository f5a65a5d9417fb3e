"""Managing the API keys of a server from a program."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

from pikku_auth.client.api import MAX_SECONDS, Answer, AuthServer
from pikku_auth.client.auth import Credential, find_credential, how_to_log_in
from pikku_auth.client.environment import is_token, key_header_of
from pikku_auth.client.exceptions import (
    BadAnswer,
    BadValue,
    ClientError,
    NotLoggedIn,
    SecretLost,
    Unreachable,
)
from pikku_auth.client.key_records import IssuedKey, Key, read_key
from pikku_auth.client.key_refusals import Act, refusal
from pikku_auth.client.origins import path_of_base
from pikku_auth.client.store import Store
from pikku_auth.core.delegation import Delegation
from pikku_auth.core.durations import require_positive
from pikku_auth.core.errors import BrokenRule
from pikku_auth.core.limits import Rate
from pikku_auth.core.metadata import check_metadata
from pikku_auth.core.networks import normalise_networks
from pikku_auth.core.permissions import Grant, normalise
from pikku_auth.core.secrets import Secret

KeyId = Key | str | int
"""A key, or its id."""

Lifetime = timedelta | float | Literal["default"] | None
"""A ``timedelta`` or seconds; ``"default"`` is the server's own, ``None`` is for ever."""

DEFAULT_OVERLAP = timedelta(hours=24)
"""How long a rotated key lives on when nobody says."""

_Page = list[Key]  # inside the class, list is a method

PAGE = 100
"""Keys that the server lists at a time."""

_PAUSES = (0.5, 1.0, 2.0)
"""Seconds before a request that makes a key is sent again."""
_LONGEST_PAUSE = 10.0
_LOST_BY_A_PROXY = {502, 504}
_BUSY = {503, *_LOST_BY_A_PROXY}
UNKNOWN = "It is not known whether a key was made: look with pikku-auth keys list."

_MINT = Act("Minting a key", "POST", "create", "auth:mint")
_ROTATE = Act("Rotating the key", "POST", "rotate", "auth:rotate")
_REVOKE = Act("Revoking the key", "POST", "delete", "auth:revoke")
_GET = Act("Reading the key", "GET", "get", "auth:read")
_LIST = Act("Listing keys", "GET", "list", "auth:read")
_RENAME = Act("Renaming the key", "POST", "update", "auth:mint")
_ENABLE = Act("Enabling the key", "POST", "update", "auth:mint")
_DISABLE = Act("Disabling the key", "POST", "update", "auth:revoke")
_SHORTEN = Act("Shortening the key's life", "POST", "update", "auth:revoke")


class Keys:
    """The API keys of the server at ``url``, as far as the credential may manage them.

    The credential is found as :class:`pikku_auth.client.PikkuAuth` finds it: ``PIKKU_API_KEY``,
    else ``PIKKU_TOKEN``, else the stored login of exactly that origin. ``timeout`` is in seconds,
    for each request. A request that makes a key is sent again after a failed connection, with
    the same ``Idempotency-Key``, so that it makes one key at most.

    Every method raises a :class:`~pikku_auth.client.ClientError` of one line: ``NotLoggedIn``,
    ``NotAllowed``, ``KeyNotFound``, ``KeyRefused``, ``BadValue``, ``Unreachable``, ``BadAnswer``.
    """

    def __init__(
        self,
        url: str,
        *,
        auth_path: str = "/auth",
        key_header: str | None = None,
        timeout: float = MAX_SECONDS,
        store: Store | None = None,
    ) -> None:
        self._server = AuthServer(url, auth_path, seconds=timeout)
        self._key_header = key_header_of(key_header)
        self._store = store

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """The server."""
        return self._server.base_url

    def mint(
        self,
        service_user: str | None = None,
        *,
        name: str = "",
        scopes: Grant = (),
        lifetime: Lifetime = "default",
        metadata: Mapping[str, Any] | None = None,
        networks: Iterable[str] = (),
        rate: Rate | None = None,
        quota: int | None = None,
        refill: Rate | None = None,
        delegation: Delegation | None = None,
    ) -> IssuedKey:
        """Make a key of ``service_user``; a machine may leave that out, for its own.

        The other arguments are those of :func:`pikku_auth.flows.mint_key`.

        :raises SecretLost: when the key was made, and its secret lost on the way.
        """
        with _told_as_bad_value():
            members = {
                "organizationId": service_user,
                "name": name or None,
                "permissions": normalise(scopes),
                "metadata": None if metadata is None else check_metadata(metadata),
                "networks": normalise_networks(networks) or None,
                "remaining": quota,
                **_limits(rate, refill),
                "delegation": None if delegation is None else _delegation(delegation),
            }
            given = {member: value for member, value in members.items() if value is not None}
            if lifetime != "default":
                given["expiresIn"] = None if lifetime is None else _seconds(lifetime)
        return self._issue(_MINT, given)

    def get(self, key: KeyId) -> Key:
        """The key with that id, as it is now."""
        return read_key(self._ask(_GET, {"id": _id_of(key)}).body)

    def list(
        self,
        service_user: str | None = None,
        *,
        parent: KeyId | None = None,
        include_revoked: bool = False,
        sort_by: Literal["createdAt", "name", "expiresAt"] = "createdAt",
        descending: bool = False,
    ) -> Iterator[Key]:
        """The keys that the credential may see, a page at a time, each of them once.

        ``service_user`` and ``parent`` narrow them down; ``parent`` is who has minted them.
        """
        members: dict[str, object] = {"sortBy": sort_by, "limit": PAGE}
        if service_user is not None:
            members["organizationId"] = service_user
        if parent is not None:
            members["parentId"] = _id_of(parent)
        if include_revoked:
            members["includeRevoked"] = "true"
        members["sortDirection"] = "desc" if descending else "asc"
        seen: set[str] = set()
        offset = 0
        while page := self._page({**members, "offset": offset}):
            yield from (key for key in page if key.id not in seen)
            seen.update(key.id for key in page)
            offset += len(page)
            if len(page) < PAGE:
                return

    def rename(self, key: KeyId, name: str) -> Key:
        """Call a key something else."""
        return self._update(_RENAME, key, name=name)

    def enable(self, key: KeyId) -> Key:
        """Let a disabled key work again."""
        return self._update(_ENABLE, key, enabled=True)

    def disable(self, key: KeyId) -> Key:
        """Stop a key until it is enabled."""
        return self._update(_DISABLE, key, enabled=False)

    def shorten(self, key: KeyId, lifetime: timedelta | float) -> Key:
        """Have a key end so long from now, a ``timedelta`` or seconds, earlier than it would."""
        with _told_as_bad_value():
            seconds = _seconds(lifetime)
        return self._update(_SHORTEN, key, expiresIn=seconds)

    def revoke(self, key: KeyId, *, reason: str = "") -> None:
        """End a key for good, and with it the keys that it has minted."""
        members = {"keyId": _id_of(key), **({"reason": reason} if reason else {})}
        self._ask(_REVOKE, members)

    def rotate(
        self,
        key: KeyId | None = None,
        *,
        overlap: timedelta | float | None = DEFAULT_OVERLAP,
        keep_children: bool = False,
    ) -> IssuedKey:
        """Make the successor of a key; a machine may leave ``key`` out, for its own.

        The old key lives on for ``overlap``, a ``timedelta`` or seconds. With ``None`` it is
        revoked at once, and with it the keys that it has minted, unless ``keep_children``.

        :raises SecretLost: when the successor was made, and its secret lost on the way.
        """
        with _told_as_bad_value():
            members: dict[str, object] = {} if key is None else {"keyId": _id_of(key)}
            members["overlap"] = None if overlap is None else _seconds(overlap)
        if keep_children:
            members["keepChildren"] = True
        return self._issue(_ROTATE, members)

    def _update(self, act: Act, key: KeyId, **changes: object) -> Key:
        return read_key(self._ask(act, {"keyId": _id_of(key), **changes}).body)

    def _page(self, members: Mapping[str, object]) -> _Page:
        found = self._ask(_LIST, members).body
        records = found.get("apiKeys") if isinstance(found, dict) else None
        if not isinstance(records, list):
            raise BadAnswer("The server's answer has no list of keys. Is --auth-path right?")
        return [read_key(record) for record in records]

    def _issue(self, act: Act, members: Mapping[str, object]) -> IssuedKey:
        """Make a key. If its secret is lost on the way, the key gets another one."""
        try:
            return self._issue_once(act, members)
        except SecretLost as lost:
            if lost.key_id is None:
                raise
            again = {"keyId": lost.key_id, "overlap": None, "keepChildren": True}
            try:
                return self._issue_once(_ROTATE, again)
            except ClientError:
                raise lost from None

    def _issue_once(self, act: Act, members: Mapping[str, object]) -> IssuedKey:
        credential = self._credential()
        answer, is_repeated = self._repeat(act, members, credential)
        if answer.code == "IDEMPOTENCY_KEY_USED":
            raise self._lost(read_key(answer.member("apiKey")))
        if is_repeated and answer.status == 401 and act is _ROTATE:
            raise SecretLost(
                f"{self._server.origin} takes this credential no more, so it was probably rotated,"
                " and the new secret lost on the way. Rotate its successor with another credential."
            )
        if not answer.is_success:
            error = refusal(answer, act, credential, self._server)
            if answer.status in _LOST_BY_A_PROXY:
                error.args = (f"{error} {UNKNOWN}",)
            raise error
        key, secret = read_key(answer.body), answer.text("key")
        if secret is None or not is_token(secret):
            raise BadAnswer(f"The server's answer has no secret of the key {key.id} in it.")
        return IssuedKey(key, Secret(secret))

    def _repeat(
        self, act: Act, members: Mapping[str, object], credential: Credential
    ) -> tuple[Answer, bool]:
        """Send a request that makes a key until it is answered; say whether it was repeated."""
        request_id = str(uuid4())
        for number, pause in enumerate(_PAUSES):
            seconds = pause
            with suppress(Unreachable):
                answer = self._send(act, members, credential, request_id)
                if not _is_busy(answer):
                    return answer, number > 0
                seconds = max(pause, min(answer.retry_after or 0.0, _LONGEST_PAUSE))
            time.sleep(seconds)
        try:
            return self._send(act, members, credential, request_id), True
        except Unreachable as error:
            error.args = (f"{error} {UNKNOWN}",)
            raise

    def _ask(self, act: Act, members: Mapping[str, object]) -> Answer:
        credential = self._credential()
        answer = self._send(act, members, credential)
        if not answer.is_success:
            raise refusal(answer, act, credential, self._server)
        return answer

    def _send(
        self,
        act: Act,
        members: Mapping[str, object],
        credential: Credential,
        request_id: str | None = None,
    ) -> Answer:
        return self._server.key_endpoint(
            act.method,
            act.path,
            (credential.header, credential.value),
            members=members,
            request_id=request_id,
        )

    def _credential(self) -> Credential:
        server = self._server
        path = path_of_base(server.base_url)
        found = find_credential(server.origin, path, self._store, key_header=self._key_header)
        if found is None:
            raise NotLoggedIn(f"Not logged in to {server.origin}. {how_to_log_in(self.url)}")
        return found

    def _lost(self, key: Key) -> SecretLost:
        return SecretLost(
            f"Key {key.id}, {key} of {key.service_user}, was made, and its secret lost on the way. "
            f"Give it another: pikku-auth keys rotate {key.id} --revoke-now --keep-children "
            f"--url {self.url}",
            key.id,
        )


def _is_busy(answer: Answer) -> bool:
    return answer.status in _BUSY or answer.code == "IDEMPOTENCY_KEY_IN_USE"


def _id_of(key: KeyId) -> str:
    return key.id if isinstance(key, Key) else str(key)


def _limits(rate: Rate | None, refill: Rate | None) -> dict[str, object]:
    members: dict[str, object] = {}
    if rate is not None:
        members["rateLimitEnabled"] = True
        members["rateLimitMax"] = rate.count
        members["rateLimitTimeWindow"] = _milliseconds(rate.period)
    if refill is not None:
        members["refillAmount"] = refill.count
        members["refillInterval"] = _milliseconds(refill.period)
    return members


def _delegation(delegation: Delegation) -> dict[str, object]:
    return {
        "organizationIds": [*delegation.service_users],
        "metadata": [*delegation.metadata],
        "maxKeys": delegation.most,
    }


def _seconds(duration: timedelta | float) -> int:
    """Whole seconds, at least one.

    :raises ValueError: when it is not positive, or longer than a century.
    """
    return max(1, round(require_positive(duration).total_seconds()))


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


@contextmanager
def _told_as_bad_value() -> Iterator[None]:
    try:
        yield
    except BrokenRule as error:
        raise BadValue(str(error)) from None
