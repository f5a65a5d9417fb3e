"""Both headers, and the scopes each operation needs, for drf-spectacular.

Imported when drf-spectacular is installed. OpenAPI 3.1 lets the requirement of any
security scheme list the scopes it needs; 3.0 readers show them too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from pikku_auth.conf import conf
from pikku_auth.rest_framework.permissions import HasScope


class PikkuAuthenticationExtension(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's own
    """Describes :class:`~pikku_auth.rest_framework.PikkuAuthentication`."""

    target_class = "pikku_auth.rest_framework.authentication.PikkuAuthentication"
    name = ["apiKey", "bearer"]

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
        """Either scheme, with the scopes that this operation's permissions demand."""
        view = auto_schema.view
        scopes = sorted(
            {
                scope
                for permission in view.get_permissions()
                for has_scope in _scope_permissions(permission)
                for scope in has_scope.required_scopes(auto_schema.method, view) or ()
            }
        )
        return [{name: scopes} for name in self.name]


def _scope_permissions(permission: Any) -> Iterator[HasScope]:
    """The ``HasScope`` instances in a composition, save what ``~`` turns around."""
    if isinstance(permission, HasScope):
        yield permission
    for operand in ("op1", "op2"):
        if hasattr(permission, operand) and hasattr(permission, "op2"):
            yield from _scope_permissions(getattr(permission, operand))
