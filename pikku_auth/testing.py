"""For the host's own tests. Import it where tests are, nowhere else.

The keys and logins made here are real ones: they go through the same verbs as in production.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from asgiref.sync import sync_to_async
from django.test import AsyncClient
from django.utils import timezone
from rest_framework.test import APIClient

from pikku_auth.conf import conf
from pikku_auth.core.permissions import Grant
from pikku_auth.exceptions import UnknownServiceUser
from pikku_auth.flows import IssuedKey, create_service_user, get_service_user, mint_key
from pikku_auth.flows.device_flow import IssuedLogin, approve, claim, exchange, look_up, start_login
from pikku_auth.models.users import User

__all__ = [
    "aclient_with_key",
    "aclient_with_login",
    "client_with_key",
    "client_with_login",
    "issue_test_login",
    "key_headers",
    "login_headers",
    "mint_test_key",
    "websocket_headers",
]

C = TypeVar("C")


def mint_test_key(
    scopes: Grant = (), *, service: str = "test-machine", **options: Any
) -> IssuedKey:
    """Mint a key with ``scopes``, making the service user ``service`` if need be.

    ``options`` are those of :func:`pikku_auth.flows.mint_key`.
    """
    try:
        owner = get_service_user(service)
    except UnknownServiceUser:
        owner = create_service_user(service)
    return mint_key(owner, scopes=scopes, **options)


def issue_test_login(user: User, scopes: Iterable[str] = ()) -> IssuedLogin:
    """Log ``user`` in from a terminal, which asks for ``scopes``. None: all that they may have.

    :raises NothingGranted: when ``LOGIN_SCOPES`` gives this user nothing of it.
    """
    client_id = next(iter(conf.device_client_ids or ["test"]))
    started = start_login(client_id, " ".join(scopes))
    code = look_up(started.user_code.reveal(), user=user)
    claim(code, user)
    approve(code, user, signed_in_at=timezone.now())
    return exchange(started.device_code.digest, client_id)


def key_headers(issued: IssuedKey) -> dict[str, str]:
    """The headers that present the key: ``client.get(url, headers=key_headers(issued))``.

    In capitals, because django-ninja's ``TestClient`` knows headers by no other name.
    """
    return {conf.key_header.upper(): issued.secret.reveal()}


def login_headers(issued: IssuedLogin) -> dict[str, str]:
    """The headers that present the token of the login, as :func:`key_headers`."""
    return {"AUTHORIZATION": f"Bearer {issued.token.reveal()}"}


def websocket_headers(issued: IssuedKey | IssuedLogin) -> list[tuple[bytes, bytes]]:
    """The ``headers`` of Channels' ``WebsocketCommunicator``, with the host of Django's client."""
    headers = key_headers(issued) if isinstance(issued, IssuedKey) else login_headers(issued)
    sent = {"host": "testserver", **{name.lower(): value for name, value in headers.items()}}
    return [(name.encode(), value.encode()) for name, value in sent.items()]


@overload
def client_with_key(
    scopes: Grant = ..., *, client_class: type[APIClient] = ..., **options: Any
) -> APIClient: ...
@overload
def client_with_key(
    scopes: Grant = ..., *, client_class: Callable[..., C], **options: Any
) -> C: ...
def client_with_key(
    scopes: Grant = (), *, client_class: Callable[..., Any] = APIClient, **options: Any
) -> Any:
    """A test client whose every request presents a new key with ``scopes``.

    ``client_class`` is called with ``headers``: Django's ``Client`` does, or
    ``partial(TestClient, router)`` of django-ninja. ``options`` are those of
    :func:`mint_test_key`.
    """
    return client_class(headers=key_headers(mint_test_key(scopes, **options)))


@overload
def client_with_login(user: User, scopes: Iterable[str] = ...) -> APIClient: ...
@overload
def client_with_login(
    user: User, scopes: Iterable[str] = ..., *, client_class: Callable[..., C]
) -> C: ...
def client_with_login(
    user: User, scopes: Iterable[str] = (), *, client_class: Callable[..., Any] = APIClient
) -> Any:
    """A test client whose every request presents a new login of ``user``.

    As :func:`client_with_key`; ``scopes`` as in :func:`issue_test_login`.
    """
    return client_class(headers=login_headers(issue_test_login(user, scopes)))


async def aclient_with_key(scopes: Grant = (), **options: Any) -> AsyncClient:
    """:func:`client_with_key` for an async test, with Django's ``AsyncClient``."""
    issued = await sync_to_async(mint_test_key)(scopes, **options)
    return _async_client(key_headers(issued))


async def aclient_with_login(user: User, scopes: Iterable[str] = ()) -> AsyncClient:
    """:func:`client_with_login` for an async test, with Django's ``AsyncClient``."""
    return _async_client(login_headers(await sync_to_async(issue_test_login)(user, scopes)))


def _async_client(headers: dict[str, str]) -> AsyncClient:
    """Its argument ``headers`` would be lost (Django 5.2 to 6.1)."""
    return AsyncClient(**headers)  # type: ignore[arg-type]  # as its documentation has it
