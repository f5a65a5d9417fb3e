"""What a host may set as ``MAP_KEY`` or ``MAP_LOGIN``, sync and async."""

from __future__ import annotations

import asyncio
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware

from pikku_auth.principal import Mapped
from tests.processes import PATIENCE

seen: list[tuple[Any, Any]] = []


class AnotherAuthenticationMiddleware(AuthenticationMiddleware):
    """One of the host's own."""


class Broken(Exception):
    """What a mapping may die of."""


def note(credential: Any, request: Any) -> Mapped:
    seen.append((credential, request))
    return Mapped({"tenant": request.META.get("HTTP_X_TENANT"), "credential": credential.pk})


def narrow(credential: Any, request: Any) -> Mapped:
    return Mapped(scopes=["sandbox:read"])


def nothing(credential: Any, request: Any) -> Mapped:
    return Mapped(scopes=[])


def widen(credential: Any, request: Any) -> Mapped:
    return Mapped(scopes=["sandbox:read", "sandbox:*"])


def reject(credential: Any, request: Any) -> None:
    return None


def mistake(credential: Any, request: Any) -> Any:
    return {"tenant": 1}


def fail(credential: Any, request: Any) -> Mapped:
    raise Broken


def by_the_row(credential: Any, request: Any) -> Mapped | None:
    """A key goes by what its service user says now."""
    return (
        Mapped({"tenant": credential.service_user.description})
        if (credential.service_user.description != "stopped")
        else None
    )


def tamper(credential: Any, request: Any) -> Mapped:
    """Changes the row that it was given, by mistake or not."""
    granted = credential.permissions or {}
    granted.setdefault("sandbox", []).append("*")
    return Mapped()


def tamper_and_say_so(credential: Any, request: Any) -> Mapped:
    granted = credential.permissions
    granted["admin"] = ["*"]
    return Mapped(scopes=granted)


class AskedWhenCalled:
    """A mapping that is an object."""

    async def __call__(self, credential: Any, request: Any) -> Mapped:
        return note(credential, request)


asked_when_called = AskedWhenCalled()


async def anote(credential: Any, request: Any) -> Mapped:
    return note(credential, request)


async def atamper(credential: Any, request: Any) -> Mapped:
    return tamper(credential, request)


async def anarrow(credential: Any, request: Any) -> Mapped:
    return narrow(credential, request)


async def awiden(credential: Any, request: Any) -> Mapped:
    return widen(credential, request)


async def areject(credential: Any, request: Any) -> None:
    return None


async def amistake(credential: Any, request: Any) -> Any:
    return mistake(credential, request)


async def afail(credential: Any, request: Any) -> Mapped:
    raise Broken


waiting: list[asyncio.Event] = []


async def await_three(credential: Any, request: Any) -> Mapped:
    """Answers when a third one asks."""
    mine = asyncio.Event()
    waiting.append(mine)
    if len(waiting) == 3:
        for event in waiting:
            event.set()
    async with asyncio.timeout(PATIENCE):
        await mine.wait()
    return Mapped()
