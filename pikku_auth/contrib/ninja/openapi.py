"""Both credentials in ninja's OpenAPI document, and the scopes that each operation wants.

OpenAPI 3.1, which is what ninja writes, lets the requirement of any security scheme list scopes.
"""

from __future__ import annotations

from http.client import responses
from typing import Any

from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from pikku_auth.contrib.ninja.auth import guards_of

_STATUSES = (401, 403, 429, 503)
_REFUSAL = "PikkuAuthRefusal"
_SCHEMA = {
    "title": _REFUSAL,
    "type": "object",
    "properties": {"detail": {"type": "string"}, "code": {"type": "string"}},
    "required": ["detail", "code"],
}
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A human's login token, from `pikku-auth login`.",
}


class Document(OpenAPISchema):
    """Ninja's, with what it has no place for."""

    def operation_security(self, operation: Operation) -> list[dict[str, Any]] | None:
        """The security requirements, of which one is enough."""
        security = super().operation_security(operation) or []
        for auth in guards_of(operation):
            name = type(auth).__name__
            security = [requirement for requirement in security if name not in requirement]
            self.securitySchemes.pop(name, None)
            self.securitySchemes |= {"apiKey": auth.openapi_security_schema, "bearer": _BEARER}
            security += [{"apiKey": list(auth.scopes)}, {"bearer": list(auth.scopes)}]
        return security or None

    def responses(self, operation: Operation) -> dict[int, dict[str, Any]]:
        """The responses of the operation, with those of ``PikkuNinjaAuth``."""
        found = super().responses(operation)
        if guards_of(operation):
            self.add_schema_definitions({_REFUSAL: _SCHEMA})
            found = {status: self._refusal(status) for status in _STATUSES} | found
        return found

    def _refusal(self, status: int) -> dict[str, Any]:
        schema = {"$ref": f"#/components/schemas/{_REFUSAL}"}
        content = {self.api.renderer.media_type: {"schema": schema}}
        return {"description": responses[status], "content": content}
