"""The tests that docs/testing.md shows, run against the example project."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from pikku_auth.models import APIKey
from tests.docs.pages import examples, run


@pytest.mark.django_db
def test_the_test_of_a_view_passes() -> None:
    view, _, _ = examples("testing.md")
    run(view, {})["test_a_reader_may_not_write"](db=None)
    assert APIKey.objects.get().scopes == ["sandbox:read"]


@pytest.mark.django_db
def test_the_test_of_an_operation_passes(make_user: Any) -> None:
    _, operation, _ = examples("testing.md")

    class Users:
        """A host's users may be called otherwise, and made otherwise."""

        class objects:  # noqa: N801  # as Django calls it
            @staticmethod
            def create_superuser(name: str) -> Any:
                return make_user(name, is_superuser=True)

    told = operation.replace('{"mine": "ada"}', '{"mine": ada.get_username()}')
    run(told, {})["test_a_human_sees_their_own"](None, Users)
    assert get_user_model()._default_manager.exists()


@pytest.mark.django_db(transaction=True)
def test_the_test_of_a_websocket_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    import tests.live.asgi

    monkeypatch.setitem(sys.modules, "mysite.asgi", tests.live.asgi)
    _, _, socket = examples("testing.md")
    run(socket, {})["test_a_machine_opens_a_socket"](None)
