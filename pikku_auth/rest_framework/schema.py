"""Both headers, and the scopes each operation needs, for drf-spectacular.

Imported when drf-spectacular is installed. OpenAPI 3.1 lets the requirement of any
security scheme list the scopes it needs; 3.0 readers show them too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular import authentication
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import spectacular_settings
from rest_framework import permissions

from pikku_auth.conf import conf
from pikku_auth.http.openapi import described
from pikku_auth.rest_framework.permissions import HasScope, declares_scopes
from pikku_auth.rest_framework.unscoped import demands_scopes, is_declared_any_key


class PikkuAuthenticationExtension(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's own
    """Describes :class:`~pikku_auth.rest_framework.PikkuAuthentication`."""

    target_class = "pikku_auth.rest_framework.authentication.PikkuAuthentication"
    name = ["apiKey", "bearer"]
    match_subclasses = True

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        """The two schemes, in the order of ``name``."""
        return [
            {
                "type": "apiKey",
                "in": "header",
                "name": conf.key_header,
                "description": "A machine's API key. When present, it alone decides.",
            },
            {
                "type": "http",
                "scheme": "bearer",
                "description": "A human's login token, from `pikku-auth login`.",
            },
        ]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        """Either scheme, with the scopes that this operation's permissions demand.

        A key is not offered where ``UNSCOPED_VIEWS`` closes the operation to keys.
        """
        view = auto_schema.view
        scopes = sorted(
            {
                scope
                for permission in view.get_permissions()
                for has_scope in _scope_permissions(permission)
                for scope in has_scope.required_scopes(auto_schema.method, view) or ()
            }
        )
        return [
            {name: scopes} for name in self.name if name != "apiKey" or _takes_keys(auto_schema)
        ]


def add_endpoints(result: Any, generator: Any, request: Any, public: bool) -> Any:
    """Add the endpoints of ``pikku_auth.urls`` to a document, for ``POSTPROCESSING_HOOKS``.

    What the project describes under the same name stays.

    :raises NoReverseMatch: when the endpoints are not mounted.
    """
    ours = described()
    if result["openapi"].startswith("3.0"):
        ours = _in_openapi_3_0(ours)
    before = spectacular_settings.SCHEMA_PATH_PREFIX_INSERT
    paths = {f"{before}{path}": found for path, found in ours["paths"].items()}
    result["paths"] = paths | result["paths"]
    for kind, found in ours["components"].items():
        components = result.setdefault("components", {})
        components[kind] = found | components.get(kind, {})
    return result


def _in_openapi_3_0(found: Any) -> Any:
    """What 3.1 says by a list of types, as 3.0 has it: with ``nullable``."""
    if isinstance(found, list):
        return [_in_openapi_3_0(entry) for entry in found]
    if not isinstance(found, dict):
        return found
    told = {name: _in_openapi_3_0(entry) for name, entry in found.items()}
    if isinstance(told.get("type"), list):
        told |= {"type": told["type"][0], "nullable": True}
    return told


def _takes_keys(auto_schema: AutoSchema) -> bool:
    view, method = auto_schema.view, auto_schema.method
    return (
        conf.unscoped_views == "open"
        or declares_scopes(view)
        or demands_scopes(view.get_permissions())
        or is_declared_any_key(type(view), view, method)
    )


class _OnlyWithoutScopes(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's own
    """Describes a way in of REST framework's own, which brings no scopes."""

    priority = 1

    def get_security_requirement(self, auto_schema: AutoSchema) -> Any:
        """As drf-spectacular's; empty where such a caller can't pass ``HasScope``."""
        if any(map(_wants_scopes, auto_schema.view.get_permissions())):
            return []
        return super().get_security_requirement(auto_schema)


class SessionExtension(_OnlyWithoutScopes, authentication.SessionScheme):  # type: ignore[no-untyped-call]  # drf-spectacular's own
    """Describes a session's cookie."""


class BasicExtension(_OnlyWithoutScopes, authentication.BasicScheme):  # type: ignore[no-untyped-call]  # drf-spectacular's own
    """Describes HTTP Basic."""


class TokenExtension(_OnlyWithoutScopes, authentication.TokenScheme):  # type: ignore[no-untyped-call]  # drf-spectacular's own
    """Describes REST framework's tokens."""


def _wants_scopes(permission: Any) -> bool:
    """Whether every caller needs scopes."""
    parts = [getattr(permission, name, None) for name in ("op1", "op2")]
    if isinstance(permission, permissions.AND):
        return any(map(_wants_scopes, parts))
    if isinstance(permission, permissions.OR):
        return all(map(_wants_scopes, parts))
    return isinstance(permission, HasScope)


def _scope_permissions(permission: Any) -> Iterator[HasScope]:
    """The ``HasScope`` instances in a composition, without those under ``~``."""
    if isinstance(permission, HasScope):
        yield permission
    for operand in ("op1", "op2"):
        if hasattr(permission, operand) and hasattr(permission, "op2"):
            yield from _scope_permissions(getattr(permission, operand))
