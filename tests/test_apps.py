"""The wiring of the app."""

from __future__ import annotations

import pytest
from django.apps import apps

from pikku_auth import apps as wiring


def test_the_app_is_ready_without_drf_spectacular(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        assert name == "drf_spectacular"

    monkeypatch.setattr(wiring, "find_spec", nothing)
    apps.get_app_config("pikku_auth").ready()
