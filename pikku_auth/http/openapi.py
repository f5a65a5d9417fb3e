"""The OpenAPI document of the endpoints, for the project that has mounted them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.urls import get_script_prefix, reverse

from pikku_auth.conf import conf

DOCUMENT = Path(__file__).parent.parent / "openapi.json"


def mounted_at() -> str:
    """The path of ``include("pikku_auth.urls")`` in the URLconf, without a slash at its end.

    :raises NoReverseMatch: when there is none.
    """
    path = reverse("pikku_auth:ok").removeprefix(get_script_prefix())
    return f"/{path}".removesuffix("/ok")


def described() -> dict[str, Any]:
    """The document, with this project's whole paths, key header and session cookie in it.

    :raises NoReverseMatch: when the endpoints are not mounted.
    """
    document: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    base = mounted_at()
    del document["servers"]
    document["paths"] = {f"{base}{path}": found for path, found in document["paths"].items()}
    schemes = document["components"]["securitySchemes"]
    schemes["apiKey"]["name"] = conf.key_header
    schemes["cookieAuth"]["name"] = settings.SESSION_COOKIE_NAME
    return document
