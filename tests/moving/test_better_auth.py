"""What is read in a dump of better-auth's table; ``tests/interop`` has a real server's."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from pikku_auth.core.limits import Rate
from pikku_auth.flows import verify_key
from pikku_auth.models import APIKey, ServiceUser
from tests.conftest import IN_KEY_HEADER, pikku_settings
from tests.moving.test_import_keys import import_from

pytestmark = pytest.mark.django_db

SECRET = "VOgoOfTNGlfQoUPyTqSoupaAphtoMWugVsLroounVWUwXrtOhoUwxJYqwsjBgqcm"
STORED = urlsafe_b64encode(sha256(SECRET.encode()).digest()).decode().rstrip("=")
ROW: dict[str, Any] = {
    "id": "aZVZhuyyPsu4LfJP1SoIHU38Yo4T9Td9",
    "name": "billing",
    "start": "VOgoOf",
    "key": STORED,
    "enabled": True,
    "rateLimitEnabled": False,
    "rateLimitMax": 10,
    "rateLimitTimeWindow": 86_400_000,
    "refillAmount": None,
    "refillInterval": None,
    "remaining": None,
    "expiresAt": None,
    "permissions": '{"sandbox":["read"]}',
    "metadata": '{"team":"one"}',
}
NOON = datetime(2099, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def dump(tmp_path: Path, service_user: ServiceUser) -> Any:
    """Import a dump of one row with changes, and return the lines of stdout and stderr."""

    def run(*arguments: str, **changes: Any) -> tuple[list[str], str]:
        file = tmp_path / "apikeys.json"
        file.write_text(json.dumps([{**ROW, **changes}]))
        service = ["--file", str(file), "--service", service_user.name]
        return import_from("better-auth", *service, *arguments)

    return run


def test_key_has_what_it_had(dump: Any) -> None:
    (line,), _ = dump(
        rateLimitEnabled=1, remaining=7, refillAmount=9, refillInterval=3_600_000
    )  # fmt: skip
    assert line == "imported: VOgoOf… (billing), a key of sandbox-runtime, for ever"
    key = APIKey.objects.get()
    assert key.scopes == ["sandbox:read"]
    assert key.rate == Rate(10, timedelta(days=1))
    assert (key.remaining, key.refill) == (7, Rate(9, timedelta(hours=1)))
    assert key.metadata == {}
    with pikku_settings(IMPORTED_KEYS=IN_KEY_HEADER):
        assert verify_key(SECRET).key == key


@pytest.mark.parametrize(
    "end",
    [
        NOON.isoformat(),
        "2099-12-01T12:00:00.000Z",
        "2099-12-01T12:00:00",
        "2099-12-01 12:00:00",
        int(NOON.timestamp() * 1000),
    ],
)
def test_end_is_read_as_each_database_writes_it(dump: Any, end: Any) -> None:
    dump(expiresAt=end)
    key = APIKey.objects.get()
    assert key.expires_at == NOON


def test_quota_that_is_refilled_is_not_used_up(dump: Any) -> None:
    dump(remaining=0, refillAmount=9, refillInterval=3_600_000)
    assert APIKey.objects.get().remaining == 9


def test_scopes_are_for_keys_without_permissions(dump: Any) -> None:
    dump("--scope", "sandbox:write", permissions=None)
    assert APIKey.objects.get().scopes == ["sandbox:write"]


def test_permissions_come_before_scopes(dump: Any) -> None:
    dump("--scope", "sandbox:write", permissions={"sandbox": ["read"]})
    assert APIKey.objects.get().scopes == ["sandbox:read"]


@pytest.mark.parametrize(("metadata", "taken"), [('{"team":"one"}', {"team": "one"}), ("null", {})])
def test_metadata_is_taken_over_with_a_warning(dump: Any, metadata: str, taken: Any) -> None:
    _, warning = dump("--with-metadata", metadata=metadata)
    assert APIKey.objects.get().metadata == taken
    assert "The metadata was written by the owners of the keys" in warning


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"enabled": 0}, "it is disabled"),
        ({"expiresAt": "2026-01-01T00:00:00Z"}, "it has expired"),
        ({"remaining": 0}, "its quota is used up"),
        ({"key": SECRET}, "it is not kept as a SHA-256"),
        ({"key": "é"}, "it is not kept as a SHA-256"),
        ({"permissions": None}, "nothing says what it may do: add --scope"),
        ({"permissions": "{"}, "it can't be read: "),
        ({"permissions": '{"sand box": ["read"]}'}, "it can't be read: "),
        ({"expiresAt": "soon"}, "it can't be read: "),
        ({"expiresAt": []}, "it can't be read: "),
        ({"rateLimitEnabled": True, "rateLimitTimeWindow": 5}, "it can't be read: "),
        ({"start": "pka_12"}, "it begins as ours do: choose other PREFIXES"),
        ({"start": None, "id": "pks_12345"}, "it begins as ours do: choose other PREFIXES"),
    ],
)
def test_what_cannot_be_taken_over_is_named(dump: Any, changes: Any, reason: str) -> None:
    (line,), _ = dump(**changes)
    assert line.startswith("skipped: ")
    assert reason in line
    assert not APIKey.objects.exists()


@pytest.mark.parametrize("text", ["", "null", "[]", "\n"])
def test_empty_dump_has_no_keys(tmp_path: Path, service_user: ServiceUser, text: str) -> None:
    (tmp_path / "dump").write_text(text.strip())
    more = ["--file", str(tmp_path / "dump"), "--service", service_user.name]
    assert import_from("better-auth", *more)[0] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "is not JSON"), ('{"a": 1}', "is not an array of objects"), ("[1]", "is not an array")],
)
def test_what_is_no_dump_is_told(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "dump").write_text(text)
    with pytest.raises(CommandError, match=problem):
        import_from("better-auth", "--file", str(tmp_path / "dump"), "--service", "x")


def test_dump_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read"):
        import_from("better-auth", "--file", str(tmp_path / "dump"), "--service", "x")


def test_options_that_do_not_fit_are_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="with --file"):
        import_from("better-auth", "--service", "x")
    with pytest.raises(CommandError, match="read from its table"):
        import_from("knox", "--with-metadata")
    (tmp_path / "dump").write_text("[]")
    with pytest.raises(CommandError, match="in better-auth's own database"):
        import_from("better-auth", "--file", str(tmp_path / "dump"), "--retire")
