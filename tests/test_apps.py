"""The wiring of the app."""

from __future__ import annotations

import pytest
from django.apps import apps

from pikku_auth import apps as wiring


def test_the_app_is_ready_without_what_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    sought = []
    monkeypatch.setattr(wiring, "find_spec", sought.append)
    apps.get_app_config("pikku_auth").ready()
    assert sought == ["drf_spectacular", "channels", "ninja"]
