"""What pikku_auth/openapi.json says of an answer."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from pikku_auth.http.openapi import DOCUMENT

KINDS = ("Key", "IssuedKey", "Session", "User")
"""Components that have no members but those which are written."""


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return found


def operations() -> dict[str, dict[str, Any]]:
    """By method and path, as the pages write them."""
    return {
        f"{method.upper()} {path.removeprefix('/')}": operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or the component that it refers to."""
    if "$ref" in schema:
        found: dict[str, Any] = document()["components"]["schemas"][
            schema["$ref"].rpartition("/")[2]
        ]
        return found
    return schema


def must_be_described(endpoint: str, answer: Any) -> None:
    """Insist that the document has such an answer: status, media type, members and types."""
    if endpoint not in operations() or (answer.status_code == 404 and not answer.content):
        return  # another path or another method, which the document leaves out
    responses = operations()[endpoint]["responses"]
    status = str(answer.status_code)
    assert status in responses, f"{endpoint} answered {status}"
    wrong = list(_validator(endpoint, status).iter_errors(answer.json()))
    assert not wrong, f"{endpoint} answered {status}: {[error.message for error in wrong]}"
    for header in responses[status].get("headers", {}) if status != "409" else ():
        assert header in answer, f"{endpoint} answered {status} without {header}"


@cache
def _validator(endpoint: str, status: str) -> Draft202012Validator:
    content = operations()[endpoint]["responses"][status]["content"]
    schemas = document()["components"]["schemas"]
    closed = {f"PikkuAuth{kind}" for kind in KINDS}
    return Draft202012Validator(
        {
            "components": {
                "schemas": {
                    name: {**schema, "additionalProperties": name not in closed}
                    for name, schema in schemas.items()
                }
            },
            "allOf": [content["application/json"]["schema"]],
            "unevaluatedProperties": False,
        },
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
