"""The authentication backend that keeps service users from signing in."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from pikku_auth.flows.accounts import is_service_user, name_a_service_user
from pikku_auth.principal import allows_module, allows_perm, bound_of


class ServiceUserBackend:
    """Refuses service users any interactive login, and bounds a key's caller by its key.

    List it first in ``AUTHENTICATION_BACKENDS``: it never says yes to anything, and its
    no ends the asking. A caller that came with a key has a Django permission only if the
    key has the scope ``perm:app_label.codename`` (or ``perm:*``, or ``*``) *and* a later
    backend grants it. ``get_all_permissions`` can't be bounded this way and lists what
    the owner has: ask ``has_perm``.

    It has no ``get_user``: Django's test client signs in with the first backend that has.
    """

    @sensitive_variables("password", "credentials")
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> None:
        """``None`` for people, so that the next backend decides.

        :raises PermissionDenied: for a service user, by whatever column it is named, after the
            time that a wrong password would have taken (CVE-2024-39329).
        """
        if name_a_service_user({"username": username, **credentials}):
            if password is not None:
                get_user_model()().set_password(password)
            raise PermissionDenied

    @sensitive_variables("credentials")
    async def aauthenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """As :meth:`authenticate`."""
        await sync_to_async(self.authenticate)(request, **credentials)

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """Never grants.

        :raises PermissionDenied: when the caller's key does not cover ``perm:<perm>``.
        """
        bound = bound_of(user_obj)
        if bound is not None and not allows_perm(bound, perm):
            raise PermissionDenied
        return False

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Never grants.

        :raises PermissionDenied: when the caller's key covers nothing of ``app_label``.
        """
        bound = bound_of(user_obj)
        if bound is not None and not allows_module(bound, app_label):
            raise PermissionDenied
        return False

    async def ahas_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        """As :meth:`has_perm`, which asks no database."""
        return self.has_perm(user_obj, perm, obj)

    async def ahas_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """As :meth:`has_module_perms`, which asks no database."""
        return self.has_module_perms(user_obj, app_label)


def refuse_session(sender: object, user: Any, request: Any = None, **_kwargs: Any) -> None:
    """End a new session if another backend has signed a service user in.

    Packages that issue tokens send the signal, too, without a session or without a request.

    Receives ``user_logged_in``.

    :raises PermissionDenied: for a service user.
    """
    if not is_service_user(user):
        return
    session = getattr(request, "session", None)
    if session is not None:
        session.flush()
    raise PermissionDenied("A service user can't log in.")
