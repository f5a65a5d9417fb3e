"""Middleware that a host may have beside ours: what sets the user, what reads it, and others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib import auth
from django.contrib.auth import login
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.utils.decorators import sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject

GetResponse = Callable[[Any], Any]
_thread = threading.local()


def someone(request: Any) -> Any:
    """Somebody else than the caller."""
    return SimpleLazyObject(lambda: auth.get_user(request))


class Base:
    """Sync and async, and of no effect."""

    sync_capable = async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        self.look(request)
        return self.get_response(request)

    def look(self, request: Any) -> None:
        """What a subclass does before the view."""


class ChoosesURLs(Base):
    """As those for a host name of their own do; ``URLS`` has what it chooses."""

    URLS: tuple[Any, ...] = ()

    def look(self, request: Any) -> None:
        request.urlconf = self.URLS


class SetsUser(Base):
    def look(self, request: Any) -> None:
        request.user = someone(request)


class SetsItForAsyncViews(Base):
    def look(self, request: Any) -> None:
        async def auser() -> Any:
            return await auth.aget_user(request)

        request.user, request.auser = someone(request), auser


class SetsItInProcessView(Base):
    @property
    def process_view(self) -> Any:
        return self.asets if self.is_async else self.sets

    def sets(self, request: Any, *_: Any) -> None:
        request.user = someone(request)

    async def asets(self, request: Any, *_: Any) -> None:
        self.sets(request)


class SetsItByName(Base):
    def look(self, req: Any) -> None:
        setattr(req, "user", someone(req))  # noqa: B010  # as some do


class SetsPrincipal(Base):
    def look(self, request: Any) -> None:
        request.principal, request.user = None, someone(request)


class Inherits(SetsUser):
    """With a subclass's own ``__call__``, and its parent's way to set the user."""

    def __call__(self, request: Any) -> Any:
        return super().__call__(request)


@sync_and_async_middleware
def sets_user(get_response: GetResponse) -> GetResponse:
    if iscoroutinefunction(get_response):

        async def amiddleware(request: Any) -> Any:
            request.user = someone(request)
            return await get_response(request)

        return amiddleware

    def middleware(request: Any) -> Any:
        request.user = someone(request)
        return get_response(request)

    return middleware


class LogsIn(Base):
    def look(self, request: Any) -> None:
        if "one-time" in request.GET:
            login(request, someone(request))


class RemoteUser(RemoteUserMiddleware):
    header = "HTTP_X_SSO_USER"


class ReadsUser(Base):
    def look(self, request: Any) -> None:
        if request.user.is_authenticated:
            request.profile = f"profile of {request.user}"


class ReadsItByName(Base):
    def look(self, request: Any) -> None:
        request.who = getattr(request, "user", None)


class OfOldStyle(MiddlewareMixin):
    def process_request(self, request: Any) -> None:
        _thread.user = request.user


def reads_user(get_response: GetResponse) -> GetResponse:
    def middleware(request: Any) -> Any:
        request.team = request.user.pk
        return get_response(request)

    return middleware


class ReadsItAfterwards(Base):
    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        self.note(request)
        return response

    def note(self, request: Any) -> None:
        _thread.user = request.user


class ReadsItWhenTheViewIsFound(Base):
    def process_view(self, request: Any, *_: Any) -> None:
        _thread.user = request.user


class HasAUserOfItsOwn(Base):
    user = None

    def look(self, request: Any) -> None:
        self.user = _thread.user = None
        request.session.user = self.user


class SetsItAfterwards(MiddlewareMixin):
    def process_response(self, request: Any, response: Any) -> Any:
        request.user = None
        return response


def does_nothing(get_response: GetResponse) -> GetResponse:
    return get_response


SET = [
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.RemoteUserMiddleware",
    "django.contrib.auth.middleware.PersistentRemoteUserMiddleware",
    *(
        f"{__name__}.{name}"
        for name in (
            "SetsUser",
            "SetsItForAsyncViews",
            "SetsItInProcessView",
            "SetsItByName",
            "SetsPrincipal",
            "Inherits",
            "sets_user",
            "LogsIn",
            "RemoteUser",
        )
    ),
]
READ = [f"{__name__}.{name}" for name in ("ReadsUser", "ReadsItByName", "OfOldStyle", "reads_user")]
NEITHER = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    *(
        f"{__name__}.{name}"
        for name in (
            "ReadsItAfterwards",
            "ReadsItWhenTheViewIsFound",
            "HasAUserOfItsOwn",
            "SetsItAfterwards",
            "does_nothing",
        )
    ),
]
