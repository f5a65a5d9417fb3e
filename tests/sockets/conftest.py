"""A channel layer, and nothing that an earlier test has left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from channels.layers import get_channel_layer

from pikku_auth.contrib.channels import notifications
from tests.sockets.consumers import WhoAmI


@pytest.fixture(autouse=True)
def _nothing_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    WhoAmI.ended.clear()
    monkeypatch.setattr(notifications._Silence, "until", 0.0)


@pytest.fixture
def use_layer(settings: Any) -> Callable[[str], Any]:
    """Have the channel layer of that class be the host's."""

    def use(path: str) -> Any:
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": path}}
        return get_channel_layer()

    return use


@pytest.fixture
def layer(use_layer: Callable[[str], Any]) -> Any:
    return use_layer("channels.layers.InMemoryChannelLayer")


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")
