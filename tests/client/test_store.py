"""The file of logins: the contract's schema, and that nothing damages it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pikku_auth.client import StoreError
from pikku_auth.client.models import Login, name_of, parse_time, write_time
from pikku_auth.client.store import Store, default_path
from tests.client.conftest import a_login
from tests.client.servers import TOKEN
from tests.processes import PATIENCE, running

A, B, C = "https://a.example", "https://b.example", "https://c.example"


def content(store: Store) -> Any:
    return json.loads(store.path.read_bytes())


def write(store: Store, text: str | bytes) -> None:
    store.path.parent.mkdir(mode=0o700, exist_ok=True)
    store.path.write_bytes(text.encode() if isinstance(text, str) else text)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_contract_15_4_the_file_is_where_and_what_the_pikku_cli_has(
    home: Path, store: Store
) -> None:
    store.save(a_login(A))
    assert (home / ".pikku" / "session.json").read_text() == (
        "{\n"
        '  "sessions": {\n'
        '    "https://a.example": {\n'
        '      "baseURL": "https://a.example",\n'
        f'      "accessToken": "{TOKEN}",\n'
        '      "tokenType": "Bearer",\n'
        '      "expiresAt": "2100-01-01T00:00:00.000Z",\n'
        '      "user": {\n'
        '        "id": "7",\n'
        '        "email": "ada@example.com"\n'
        "      },\n"
        '      "obtainedAt": "2026-11-23T00:00:00.000Z"\n'
        "    }\n"
        "  },\n"
        '  "current": "https://a.example"\n'
        "}"
    )


def test_contract_15_4_what_is_unknown_is_absent(store: Store) -> None:
    store.save(a_login(A, expires_at=None, user=None))
    assert content(store)["sessions"][A].keys() == {
        *("baseURL", "accessToken", "tokenType", "obtainedAt")
    }


def test_a_login_comes_back_as_it_was(store: Store) -> None:
    store.save(a_login(A))
    assert store.find(A) == store.current() == a_login(A)


def test_contract_15_4_the_last_login_is_current(store: Store) -> None:
    store.save(a_login(A))
    store.save(a_login(B))
    store.save(a_login(A))
    assert content(store)["current"] == A


def test_there_is_no_login_without_a_file(home: Path, store: Store) -> None:
    assert store.current() is None
    assert store.find(A) is None
    assert list(home.iterdir()) == []


def test_contract_15_4_an_expired_login_is_found_like_any_other(store: Store) -> None:
    store.save(a_login(A, expires_at="2000-01-01T00:00:00.000Z"))
    assert store.find(A) is not None


def test_contract_15_4_removing_the_current_one_makes_the_first_current(store: Store) -> None:
    for url in (A, B, C):
        store.save(a_login(url))
    store.forget(a_login(C))
    assert content(store)["current"] == A
    assert store.find(C) is None


def test_removing_another_one_leaves_the_current_one(store: Store) -> None:
    for url in (A, B):
        store.save(a_login(url))
    store.forget(a_login(A))
    assert content(store)["current"] == B


def test_contract_15_4_removing_the_last_one_deletes_the_file(store: Store) -> None:
    store.save(a_login(A))
    store.forget(a_login(A))
    assert not store.path.exists()
    assert store.path.parent.is_dir()


def test_the_file_stays_when_a_newer_program_has_something_in_it(store: Store) -> None:
    write(store, '{"version": 2}')
    store.save(a_login(A))
    store.forget(a_login(A))
    assert content(store) == {"version": 2, "sessions": {}}


def test_contract_15_4_forgetting_what_is_not_there_changes_nothing(store: Store) -> None:
    store.save(a_login(A))
    before = store.path.stat()
    store.forget(a_login(B))
    assert store.path.stat() == before


def test_a_login_that_was_replaced_meanwhile_is_not_forgotten(store: Store) -> None:
    store.save(a_login(A, access_token="newer"))
    store.forget(a_login(A, access_token="older"))
    assert store.find(A) == a_login(A, access_token="newer")


def test_a_new_expiry_is_noted(store: Store) -> None:
    store.save(a_login(A))
    store.save(a_login(B))
    store.renew(a_login(A), "2100-06-06T00:00:00.000Z")
    assert store.find(A) == a_login(A, expires_at="2100-06-06T00:00:00.000Z")
    assert content(store)["current"] == B


def test_a_new_expiry_is_not_noted_for_another_login(store: Store) -> None:
    store.save(a_login(A, access_token="newer"))
    store.renew(a_login(A, access_token="older"), "2100-06-06T00:00:00.000Z")
    store.renew(a_login(B), "2100-06-06T00:00:00.000Z")
    assert store.find(A) == a_login(A, access_token="newer")


def test_unknown_fields_and_entries_are_kept(store: Store) -> None:
    odd: dict[str, object] = {
        "sessions": {
            A: {"baseURL": A, "accessToken": "old", "label": "mine", "user": {"id": "1"}},
            B: {"baseURL": B, "accessToken": "b", "future": [1, None, "é"]},
            "of another kind": ["entry"],
        },
        "current": B,
        "version": 2.5,
    }
    write(store, json.dumps(odd))
    store.save(a_login(A, user=None))
    found = content(store)
    assert found["sessions"].pop(A)["label"] == "mine"
    assert "user" not in content(store)["sessions"][A]
    odd["sessions"].pop(A)  # type: ignore[attr-defined]
    assert found == {**odd, "current": A}


def test_an_entry_of_another_kind_is_replaced_by_a_login(store: Store) -> None:
    write(store, json.dumps({"sessions": {A: "something"}}))
    store.save(a_login(A))
    assert store.find(A) == a_login(A)


def test_one_server_has_one_entry_however_it_is_written(store: Store) -> None:
    store.save(a_login("https://A.example"))
    store.save(a_login("https://a.example:443", access_token="newer"))
    assert list(content(store)["sessions"]) == ["https://A.example"]
    assert store.find(A) == a_login("https://A.example", access_token="newer")


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        None,
        [],
        {},
        {"accessToken": ""},
        {"accessToken": 7},
        {"baseURL": B, "accessToken": "for another server"},
    ],
)
def test_an_entry_that_is_no_login_is_none(store: Store, entry: object) -> None:
    write(store, json.dumps({"sessions": {A: entry}, "current": A}))
    assert store.find(A) is None
    assert store.current() is None


def test_an_entry_needs_a_token_only(store: Store) -> None:
    write(store, json.dumps({"sessions": {A: {"accessToken": "t", "user": 1, "expiresAt": 2}}}))
    assert store.find(A) == Login(A, "t", "Bearer")


@pytest.mark.parametrize("text", ["{}", '{"sessions": null}', '{"sessions": {}, "current": 7}'])
def test_a_file_without_logins_has_none(store: Store, text: str) -> None:
    write(store, text)
    assert store.current() is None
    assert store.find(A) is None
    store.save(a_login(A))
    assert store.current() == a_login(A)


DAMAGED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'{"sessions": []}',
    b'{"sessions": "none"}',
    b'{"sessions": {}, "x": NaN}',
    b'{"sessions": {}, "x": 1e999}',
    b"\xff\xfe\xfd",
    b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"x": "' + b"x" * 1_000_000 + b'"}',
]


@pytest.fixture
def _read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program is writing the file, so it need not be read again."""
    monkeypatch.setattr("pikku_auth.client.store._TIMES_READ", 1)


@pytest.mark.usefixtures("_read_once")
@pytest.mark.parametrize("damaged", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_file_is_reported_and_set_aside_by_the_next_change_alone(
    home: Path, damaged: bytes
) -> None:
    reports: list[str] = []
    store = Store(report=reports.append)
    write(store, damaged)
    assert store.current() is None
    assert store.path.read_bytes() == damaged
    assert reports.pop() == f"{store.path} is damaged, so no login is read from it. Log in again."
    store.save(a_login(A))
    assert store.find(A) == a_login(A)
    [aside] = store.path.parent.glob("session.json.corrupt-*")
    assert aside.read_bytes() == damaged
    assert mode(aside) == 0o600
    assert reports == [f"{store.path} was damaged, so it is now {aside}"]


@pytest.mark.usefixtures("_read_once")
def test_two_damaged_files_in_one_second_are_both_kept(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("one", "two", "three"):
        write(store, text)
        store.save(a_login(A))
    kept = {path.read_text() for path in store.path.parent.glob("session.json.corrupt-*")}
    assert kept == {"one", "two", "three"}
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3


def test_file_that_another_program_writes_in_place_is_read_whole(store: Store) -> None:
    """As the Pikku CLI writes it, and never sees it set aside."""
    store.save(a_login(A))
    whole = store.path.read_bytes()
    over = threading.Event()

    def write_in_place() -> None:
        while not over.is_set():
            with store.path.open("wb") as file:
                for start in range(0, len(whole), 40):
                    file.write(whole[start : start + 40])
                    file.flush()
            time.sleep(0.002)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_in_place)
        try:
            assert {store.current() == a_login(A) for _ in range(100)} == {True}
            store.renew(a_login(A), "2100-02-02T00:00:00.000Z")
        finally:
            over.set()
        writing.result(PATIENCE)
    assert not list(store.path.parent.glob("*corrupt*"))


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_it_under_any_umask(store: Store, mask: int) -> None:
    with umask(mask):
        store.save(a_login(A))
    assert mode(store.path.parent) == 0o700
    assert {mode(path) for path in store.path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("act", ["current", "save"])
def test_what_was_open_to_others_is_narrowed(store: Store, act: str) -> None:
    store.save(a_login(A))
    store.path.chmod(0o644)
    store.path.parent.chmod(0o755)
    _ = store.current() if act == "current" else store.save(a_login(B))
    assert mode(store.path) == 0o600
    assert mode(store.path.parent) == 0o700


@pytest.mark.parametrize("act", ["current", "save"])
@pytest.mark.parametrize("name", ["session.json", "session.json.lock"])
def test_a_symbolic_link_is_not_followed(home: Path, store: Store, act: str, name: str) -> None:
    target = home / "target"
    target.write_text('{"sessions": {}}')
    target.chmod(0o644)
    store.path.parent.mkdir()
    (store.path.parent / name).symlink_to(target)
    if (act, name) == ("current", "session.json.lock"):
        assert store.current() is None  # nothing is written, so nothing is locked
    else:
        with pytest.raises(StoreError, match="symbolic link"):
            _ = store.current() if act == "current" else store.save(a_login(A))
    assert target.read_text() == '{"sessions": {}}'
    assert mode(target) == 0o644


@pytest.mark.parametrize("act", ["current", "save"])
def test_a_directory_that_is_a_symbolic_link_is_not_followed(
    home: Path, store: Store, act: str
) -> None:
    target = home / "target"
    target.mkdir(mode=0o755)
    store.path.parent.symlink_to(target)
    with pytest.raises(StoreError, match="symbolic link"):
        _ = store.current() if act == "current" else store.save(a_login(A))
    assert list(target.iterdir()) == []
    assert mode(target) == 0o755


def test_a_file_of_somebody_else_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(a_login(A))
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(StoreError, match="another user"):
        store.current()


def test_what_is_no_file_is_refused(store: Store) -> None:
    store.path.parent.mkdir()
    os.mkfifo(store.path)
    with pytest.raises(StoreError, match="not a file"):
        store.current()


def test_an_error_of_the_system_is_told_in_one_line(store: Store) -> None:
    store.path.parent.write_text("a file, where the directory should be")
    with pytest.raises(StoreError, match=r"\.pikku.*: .*\.$"):
        store.save(a_login(A))


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    store.save(a_login(A))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left"):
            store.save(a_login(B))
    assert content(store)["current"] == A
    assert {path.name for path in store.path.parent.iterdir()} == {
        *("session.json", "session.json.lock")
    }


def test_what_a_killed_write_has_left_is_removed_by_the_next(store: Store) -> None:
    store.save(a_login(A))
    leftover = store.path.parent / ".session.json.abc123.tmp"
    leftover.write_text(TOKEN)
    store.save(a_login(B))
    assert not leftover.exists()


def test_without_a_home_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(StoreError, match="HOME"):
        default_path()


MANY_LOGINS = """
import sys
from pikku_auth.client.models import Login
from pikku_auth.client.store import Store
store, worker = Store(), sys.argv[1]
for number in range(int(sys.argv[2])):
    url = f"https://{worker}-{number}.example"
    store.save(Login(url, "t" * 500, "Bearer"))
    print(url, flush=True)
"""


def worker(name: int, logins: int) -> AbstractContextManager[subprocess.Popen[str]]:
    command = [sys.executable, "-c", MANY_LOGINS, str(name), str(logins)]
    return running(command, stdout=subprocess.PIPE)


def test_many_logins_at_once_lose_none_and_no_reader_sees_half_a_file(store: Store) -> None:
    torn = 0
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(number, 8)) for number in range(4)]
        while any(each.poll() is None for each in workers):
            with suppress(FileNotFoundError):
                assert mode(store.path) == 0o600
                torn += not isinstance(content(store)["sessions"], dict)
        saved = [line for each in workers for line in each.communicate()[0].split()]
    assert torn == 0
    assert len(saved) == 32
    assert content(store)["sessions"].keys() == set(saved)


def test_sigkill_at_any_moment_damages_nothing(store: Store) -> None:
    said: set[str] = set()
    for number in range(6):
        with worker(number, 100_000) as process:
            assert process.stdout is not None
            said.update(process.stdout.readline().strip() for _ in range(number + 1))
            for _ in range(40_000 * number + 1):
                pass  # some part of a save later
            process.send_signal(signal.SIGKILL)
            said.update(process.communicate()[0].split("\n")[:-1])
    assert said <= content(store)["sessions"].keys()
    store.save(a_login(A))
    assert {path.name for path in store.path.parent.iterdir()} == {
        *("session.json", "session.json.lock")
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
ENTRIES = JSON | st.fixed_dictionaries(
    {},
    optional={
        "baseURL": st.sampled_from([A, B]),
        "accessToken": st.text(max_size=5),
        "expiresAt": st.text(max_size=30),
        "user": JSON,
        "x": JSON,
    },
)
URLS = st.sampled_from([A, B, "https://A.example:443/", "http://[", ""]) | st.text(max_size=9)
DOCUMENTS = JSON | st.fixed_dictionaries(
    {}, optional={"sessions": st.dictionaries(URLS, ENTRIES), "current": URLS | JSON, "x": JSON}
)


def in_a_new_home(act: Callable[[Store, list[str]], None]) -> None:
    """Nobody else writes there, so a damaged file is not worth waiting for."""
    reports: list[str] = []
    at_once = patch("pikku_auth.client.store._SECONDS_BETWEEN", 0)
    with TemporaryDirectory() as directory, at_once:
        act(Store(Path(directory) / "pikku" / "session.json", reports.append), reports)


@given(DOCUMENTS)
@example({})
@example([])
def test_whatever_is_in_the_file_a_login_can_be_kept_and_forgotten(document: Any) -> None:
    def check(store: Store, reports: list[str]) -> None:
        write(store, json.dumps(document))
        store.save(a_login(C))
        found = store.find(C)
        assert found == a_login(C)
        assert store.current() == found
        sessions = content(store)["sessions"]
        if not reports:
            before = document.get("sessions") or {}
            assert sessions.keys() == {*before, C}
            assert all(sessions[key] == before[key] for key in before)
        store.forget(a_login(C))
        assert store.find(C) is None

    in_a_new_home(check)


@given(st.binary(max_size=60))
@example(b"{}")
def test_whatever_bytes_are_in_the_file_none_are_lost(damage: bytes) -> None:
    def check(store: Store, reports: list[str]) -> None:
        write(store, damage)
        store.save(a_login(A))
        aside = [path.read_bytes() for path in store.path.parent.glob("*.corrupt-*")]
        assert aside == [damage] * len(reports)
        assert reports or content(store).keys() >= json.loads(damage).keys()

    in_a_new_home(check)


NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize("offset", [timedelta(microseconds=-1), timedelta(0)])
def test_a_login_is_over_at_the_instant_it_names(offset: timedelta) -> None:
    login = a_login(A, expires_at="2026-11-23T00:00:00.000Z")
    assert login.is_expired(NOW + offset) is (offset == timedelta(0))


@pytest.mark.parametrize("text", [None, "", "soon", "2026-13-01", "0001-01-01T00:00:00+14:00"])
def test_contract_15_4_without_a_readable_expiry_a_login_is_not_over(text: str | None) -> None:
    assert not a_login(A, expires_at=text).is_expired(NOW)


@given(st.text(max_size=40) | st.datetimes().map(str))
def test_any_text_is_a_time_or_none(text: str) -> None:
    found = parse_time(text)
    assert found is None or parse_time(write_time(found)) is not None


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"id": "7", "email": "a@x.example", "name": "Ada", "username": "ada"}, "ada"),
        ({"id": "7", "email": "ada@example.com", "name": "Ada"}, "ada@example.com"),
        ({"id": "7", "email": None, "name": "Ada"}, "Ada"),
        ({"id": "7", "email": ""}, "7"),
        ({"id": 7}, None),
        ("ada", None),
        (None, None),
    ],
)
def test_a_human_is_called_by_what_is_known(user: object, name: str | None) -> None:
    assert name_of(user) == name
