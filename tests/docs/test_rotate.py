"""What docs/rotate.md shows, run."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from pikku_auth.flows import mint_key, verify_key
from pikku_auth.models import APIKey, KeyState, ServiceUser
from tests.docs.commands import manage_commands, run_commands, typed_in
from tests.docs.pages import examples

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def state_of(key: APIKey, later: timedelta = timedelta()) -> KeyState:
    row = APIKey.objects.select_related("service_user__user").get(pk=key.pk)
    return row.state(timezone.now() + later)


def test_by_hand_the_old_key_lives_for_the_overlap(
    service_user: ServiceUser, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand, _ = examples("rotate.md", "console")
    key = mint_key(service_user, name="production").key
    run_commands(by_hand, key)
    new = capsys.readouterr().out.split()[-1]
    assert verify_key(new).key == APIKey.objects.latest("pk")
    assert (state_of(key), state_of(key, DAY)) == (KeyState.ACTIVE, KeyState.EXPIRED)


def test_the_scheduled_line_makes_a_key_and_then_its_successors(tmp_path: Path) -> None:
    (block,) = examples("rotate.md", "bash")
    block = block.replace("/run/secrets", str(tmp_path))
    (words,) = manage_commands(block)
    *_, move = typed_in(block)
    for number in (1, 2, 3):
        call_command(*words)
        subprocess.run(move, shell=True, check=True)  # noqa: S602  # a line of the page
        secret = (tmp_path / "pikku-api-key").read_text().strip()
        assert verify_key(secret, scopes=["sandbox:read"]).key == APIKey.objects.latest("pk")
        assert APIKey.objects.count() == number
    assert [path.name for path in tmp_path.iterdir()] == ["pikku-api-key"]


def test_after_a_leak_the_old_key_is_dead(service_user: ServiceUser) -> None:
    _, after_a_leak = examples("rotate.md", "console")
    key = mint_key(service_user).key
    run_commands(after_a_leak, key)
    assert state_of(key) is KeyState.REVOKED
