"""What a request presents: at most one credential, without its text."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Literal, NamedTuple
from urllib.parse import unquote

from django.http import HttpRequest
from django.http.request import split_domain_port

from pikku_auth.conf import ImportedKeySettings, conf
from pikku_auth.core.networks import client_address, is_loopback
from pikku_auth.core.secrets import has_prefix
from pikku_auth.flows.database import outage_is_not_a_refusal, primary
from pikku_auth.flows.imported import find_imported, imported_digests
from pikku_auth.flows.keys.verify import key_digest
from pikku_auth.flows.logins import token_digest

_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
_BEARER = re.compile(r"bearer +([^\s,]+)", re.IGNORECASE)
_NO_TOKEN = re.compile(r"[^0-9A-Za-z._~+/-]+")
"""What no token has in it (RFC 6750, 2.1), so that the tokens of others are words, too."""

_UNKNOWN_HERE = "_pikku_auth_unknown_here"

_NO_BEGINNING = "._~+/-"
"""What a token may begin with, and none of ours does."""


class Credential(NamedTuple):
    """The credential of a request; ``digest`` is ``None`` if it is malformed.

    ``is_exposed`` says that it came over plain HTTP, where ``REQUIRE_HTTPS`` forbids that, and
    ``is_misplaced`` that it is a key in ``Authorization`` or a login token in the key header.
    ``foreign`` is what another system may have kept of it, if it may be imported. One of the kind
    ``imported`` may as well be nothing of ours.
    """

    kind: Literal["key", "token", "imported"]
    digest: str | None
    ip: str | None
    is_exposed: bool = False
    is_misplaced: bool = False
    foreign: tuple[str, ...] = ()


def find_credential(request: HttpRequest) -> Credential | None:
    """The credential in the headers of ``request``, or ``None`` if there is none of ours."""
    if has_key(request):
        return _in_key_header(request)
    if has_token(request):
        return _in_authorization(request)
    settings = conf.imported_keys
    return None if settings is None else _imported(request, settings)


def credential_of(text: str, ip: str | None = None) -> Credential:
    """The credential that ``text`` is, a key or a login token, presented from ``ip``.

    :raises Unavailable: when the database can't be asked for what was imported.
    """
    if (digest := token_digest(text)) is not None:
        return Credential("token", digest, ip)
    if foreign := imported_digests(text):
        with outage_is_not_a_refusal():
            found = find_imported(foreign, using=primary())
        if found is not None and found.login is not None:
            return Credential("token", found.login.digest, ip)
        key = None if found is None else found.key
        return Credential("key", foreign[0] if key is None else key.digest, ip)
    return Credential("key", key_digest(text), ip)


def _in_key_header(request: HttpRequest) -> Credential:
    value = request.META[conf.key_header_meta]
    digest, settings = key_digest(value), conf.imported_keys
    foreign = imported_digests(value) if settings is not None and settings.in_key_header else ()
    is_misplaced = digest is None and _names(value, [conf.prefixes.login])
    address = address_of(request)
    return Credential("key", digest, address, is_exposed(request), is_misplaced, foreign)


def _in_authorization(request: HttpRequest) -> Credential:
    # A key in this header has no digest of a token, and is refused:
    # one kind of credential per header.
    digest = token_digest(bearer_of(request))
    readings = _readings(_authorization(request))
    is_misplaced = digest is None and any(_names(one, [conf.prefixes.key]) for one in readings)
    return Credential("token", digest, address_of(request), is_exposed(request), is_misplaced)


def _imported(request: HttpRequest, settings: ImportedKeySettings) -> Credential | None:
    """What may have been imported, in a header of another system."""
    foreign = imported_digests(_foreign_text(request, settings))
    if not foreign:
        return None
    return Credential("imported", None, address_of(request), is_exposed(request), foreign=foreign)


def _foreign_text(request: HttpRequest, settings: ImportedKeySettings) -> str:
    """The secret in a header of another system; empty if there is none."""
    words = _authorization(request).split()
    if len(words) == 2 and words[0].lower() in settings.schemes:
        return words[1]
    values: list[str] = [request.META.get(name, "") for name in settings.headers]
    return next(filter(None, values), "")


def is_exposed(request: HttpRequest) -> bool:
    """Whether others may have read the request on its way, which ``REQUIRE_HTTPS`` forbids.

    A program that calls ``http://localhost`` on the same machine sends nothing over a network. A
    proxy on the same machine does, and passes on the name that its caller asked for.
    """
    if not conf.require_https or request.is_secure():
        return False
    host, _ = split_domain_port(request.META.get("HTTP_HOST", ""))
    return not (host in _LOOPBACK and is_loopback(request.META.get("REMOTE_ADDR")))


def has_credential(request: HttpRequest) -> bool:
    """Whether the headers have a credential of ours, good or bad, or what may be imported."""
    if has_key(request) or has_token(request):
        return True
    settings = conf.imported_keys
    if settings is None or hasattr(request, _UNKNOWN_HERE):
        return False
    return _imported(request, settings) is not None


def remember_unknown(request: HttpRequest) -> None:
    """Leave what ``request`` has in a header of another system to that one."""
    setattr(request, _UNKNOWN_HERE, True)


def has_key(request: HttpRequest) -> bool:
    """Whether the key header is there, empty or not."""
    return request.META.get(conf.key_header_meta) is not None


def has_token(request: HttpRequest) -> bool:
    """Whether ``Authorization`` has a credential of ours in it, in whatever form.

    Only a lone bearer is good (RFC 6750, 2.1). A credential of ours in any other form is refused:
    quoted, named, encoded, in another case, in HTTP Basic, or beside another one. It must not be
    passed over to a cookie.
    """
    header = _authorization(request)
    ours = (conf.prefixes.login, conf.prefixes.key)
    return bool(header) and any(_names(reading, ours) for reading in _readings(header))


def _readings(header: str) -> Iterator[str]:
    """The header as it is, without percent-encoding, and what HTTP Basic encodes."""
    yield header
    decoded = unquote(unquote(header)).strip()
    yield decoded
    scheme, _, rest = decoded.replace("\t", " ").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):  # it is no Base64, and so no HTTP Basic
            yield unquote(unquote(b64decode(rest.strip() + "==").decode("latin-1")))


def _names(text: str, prefixes: Iterable[str]) -> bool:
    """Whether a word of ``text`` begins as a secret with one of these prefixes does."""
    words = [word.lstrip(_NO_BEGINNING) for word in _NO_TOKEN.split(text.lower())]
    words += [word.removeprefix("bearer").lstrip(_NO_BEGINNING) for word in words]
    return any(has_prefix(word, prefix) for word in words for prefix in prefixes)


def bearer_of(request: HttpRequest) -> str:
    """The one token after ``Bearer`` in ``Authorization``; empty for anything else."""
    bearer = _BEARER.fullmatch(_authorization(request).strip())
    return bearer[1] if bearer else ""


def address_of(request: HttpRequest) -> str | None:
    """The caller's address, as far as ``NUM_PROXIES`` lets it be trusted."""
    return client_address(
        request.META.get("REMOTE_ADDR"),
        request.META.get("HTTP_X_FORWARDED_FOR"),
        num_proxies=conf.num_proxies,
    )


def _authorization(request: HttpRequest) -> str:
    value: str = request.META.get("HTTP_AUTHORIZATION", "")
    return value
