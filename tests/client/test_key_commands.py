"""``pikku-auth keys``: what it says, where the secret goes, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pikku_auth.client import cli
from pikku_auth.client.store import Store
from pikku_auth.client.tables import ago, ahead, table
from tests.client.conftest import KEY, a_login
from tests.client.servers import RESET, Reply, Server
from tests.client.test_as_a_program import CLIENT, INTO_A_CLOSED_PIPE, client, run
from tests.client.test_keys import SECRET, issued, record, refused
from tests.client.test_terminal import Running, in_a_terminal
from tests.processes import read_now, running

__all__ = ["in_a_terminal"]

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DELETED = Reply(body={"success": True})


@pytest.fixture
def server(key: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with one key, ``7``, that is asked by a machine."""
    with Server() as server:
        monkeypatch.setenv("PIKKU_URL", server.url)
        server.answer("/auth/api-key/create", issued())
        server.answer("/auth/api-key/rotate", issued(id="8", rotatedFrom="7"))
        server.answer("/auth/api-key/get", Reply(body=record(delegation=None)))
        server.answer("/auth/api-key/list", keys_of())
        server.answer("/auth/api-key/delete", DELETED)
        yield server


def keys_of(*records: dict[str, Any]) -> Reply:
    return Reply(body={"apiKeys": list(records), "total": len(records)})


def asked(server: Server, path: str) -> list[Any]:
    return [json.loads(seen.body) for seen in server.to(f"/auth/api-key/{path}")]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run ``keys`` in this process: its exit status, its stdout and its stderr."""
    monkeypatch.setattr("pikku_auth.client.keys.time.sleep", lambda seconds: None)

    def go(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["keys", *arguments])
        out, err = capsys.readouterr()
        assert KEY not in out + err
        assert SECRET not in err
        return code, out, err

    return go


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Have a human type this into the terminal that stdin is."""
    master, slave = pty.openpty()
    with open(slave) as stdin:  # noqa: PTH123  # a descriptor has no path
        monkeypatch.setattr(sys, "stdin", stdin)
        yield lambda keys: (os.write(master, keys), None)[1]
    os.close(master)


class TestMinting:
    def test_the_secret_is_alone_on_stdout(self, server: Server, here: Any) -> None:
        server.answer("/auth/api-key/create", issued(scopes=["sandbox:read", "sandbox:write"]))
        code, out, err = here("mint", "--scope", "sandbox:read", "--scope", "sandbox:write")
        assert (code, out) == (0, f"{SECRET}\n")
        assert err == (
            "Key 7, ci (pka_Ab12Cd34…) of sandbox-runtime: sandbox:read, sandbox:write; "
            "expires 2100-01-02 03:04 UTC.\n"
            "Copy it now: it is stored only as a digest and cannot be shown again.\n"
        )

    def test_what_is_cut_is_told(self, server: Server, here: Any) -> None:
        assert "Of these, it may do now: sandbox:read.\n" in here("mint")[2]
        server.answer("/auth/api-key/create", issued(scopes=[], permissions={}, expiresAt=None))
        assert "no scopes: it may authenticate, and nothing else; never expires." in here("mint")[2]
        server.answer("/auth/api-key/create", issued(scopes=[]))
        assert "it may do now: nothing." in here("mint")[2]

    def test_each_format_has_it(self, server: Server, here: Any) -> None:
        assert here("mint", "--format", "env")[1] == f"PIKKU_API_KEY={SECRET}\n"
        told = json.loads(here("mint", "--format", "json")[1])
        assert (told["key"], told["id"], told["service_user"]) == (SECRET, 7, "sandbox-runtime")
        assert told["rate"] == "100/m"
        assert told["delegation"] == {
            "service_users": ["worker"],
            "metadata": ["box"],
            "most": 5,
        }

    def test_json_is_whole_however_long_it_is(self, server: Server, here: Any) -> None:
        metadata = {f"m{number}": "x" * 100 for number in range(90)}
        server.answer("/auth/api-key/create", issued(metadata=metadata))
        assert json.loads(here("mint", "--format", "json")[1])["metadata"] == metadata

    def test_a_file_is_new_and_for_its_owner_alone(
        self, server: Server, here: Any, tmp_path: Path
    ) -> None:
        file = tmp_path / "key"
        code, out, err = here("mint", "--output", str(file))
        assert (code, out, file.read_text()) == (0, "", f"{SECRET}\n")
        assert file.stat().st_mode & 0o777 == 0o600
        assert f"It is in {file}: it is stored only as a digest" in err

    @pytest.mark.parametrize("place", [".", "missing/key"])
    def test_a_file_that_can_not_be_made_is_known_before_a_key_is(
        self, server: Server, here: Any, tmp_path: Path, place: str
    ) -> None:
        code, out, err = here("mint", "--output", str(tmp_path / place))
        assert (code, out, server.seen) == (3, "", [])
        assert "so it was not made, and nothing has changed.\n" in err

    def test_a_file_is_not_left_behind_without_a_key(
        self, server: Server, here: Any, tmp_path: Path
    ) -> None:
        server.answer("/auth/api-key/create", refused(403, "EXCEEDS_PARENT", "Too much."))
        file = tmp_path / "key"
        code, _, err = here("mint", "--output", str(file))
        assert (code, err) == (1, "pikku-auth: Minting a key was refused: Too much.\n")
        assert not file.exists()

    def test_a_lost_secret_ends_with_3(self, server: Server, here: Any) -> None:
        used = {"message": "No.", "code": "IDEMPOTENCY_KEY_USED", "apiKey": record(id="8")}
        server.answer("/auth/api-key/create", RESET, Reply(409, used))
        server.answer("/auth/api-key/rotate", refused(403, "INSUFFICIENT_API_KEY_PERMISSIONS"))
        code, out, err = here("mint")
        assert (code, out) == (3, "")
        assert "Give it another: pikku-auth keys rotate 8 --revoke-now" in err

    def test_a_delegation_that_breaks_a_rule_is_not_sent(self, server: Server, here: Any) -> None:
        code, _, err = here("mint", "--child-metadata", "two words")
        assert (code, server.seen) == (1, [])
        assert "can't have a member named 'two words'" in err

    def test_the_members_of_a_delegation_go_together(self, server: Server, here: Any) -> None:
        here("mint", "--max-children", "3")
        assert asked(server, "create")[0]["delegation"] == {
            "organizationIds": [],
            "metadata": [],
            "maxKeys": 3,
        }


class TestAStdoutThatFails:
    """A real process, because pytest's stdout never does."""

    @pytest.mark.parametrize(
        ("command", "made"),
        [
            pytest.param(["/bin/sh", "-c", 'exec "$0" "$@" >&-'], False, id="closed"),
            pytest.param([sys.executable, "-c", INTO_A_CLOSED_PIPE], False, id="closed pipe"),
            pytest.param(["/bin/sh", "-c", 'exec "$0" "$@" >/dev/full'], True, id="full"),
        ],
    )
    def test_a_minted_key_is_not_made_or_revoked_again(
        self, server: Server, command: list[str], made: bool
    ) -> None:
        done = run(*command, *CLIENT, "keys", "mint")
        assert done.returncode == 3
        assert "The key could not be handed over (" in done.stderr
        assert SECRET not in done.stderr
        assert bool(asked(server, "create")) is made
        revoked = [{"keyId": "7", "reason": "could not be handed over"}] if made else []
        assert asked(server, "delete") == revoked

    def test_a_key_that_can_not_be_revoked_again_is_named(self, server: Server) -> None:
        server.answer("/auth/api-key/delete", refused(403, "INSUFFICIENT_API_KEY_PERMISSIONS"))
        done = run("/bin/sh", "-c", 'exec "$0" "$@" >/dev/full', *CLIENT, "keys", "mint")
        assert done.returncode == 3
        assert f"Have it revoked: pikku-auth keys revoke 7 --url {server.url}\n" in done.stderr

    def test_a_successor_stays_because_the_old_key_ends(self, server: Server) -> None:
        done = run("/bin/sh", "-c", 'exec "$0" "$@" >/dev/full', *CLIENT, "keys", "rotate", "7")
        assert done.returncode == 3
        assert asked(server, "delete") == []
        assert "Key 8, the successor, could not be handed over (No space left" in done.stderr
        assert "pikku-auth keys rotate 8 --revoke-now --keep-children --url" in done.stderr

    def test_a_reader_of_the_list_that_leaves_ends_it_quietly(self, server: Server) -> None:
        server.answer("/auth/api-key/list", keys_of(record()))
        for style in ([], ["--json"]):
            done = run(sys.executable, "-c", INTO_A_CLOSED_PIPE, *CLIENT, "keys", "list", *style)
            assert (done.returncode, done.stderr) == (141, "")

    @pytest.mark.parametrize(
        ("act", "deletion", "told"),
        [
            ("mint", DELETED, "(No space left on device). It was revoked again.\n"),
            ("mint", refused(409, "X"), "It could not be revoked again: Revoking the key was"),
            ("rotate", DELETED, "Key 8, the successor, could not be handed over (No space"),
        ],
    )
    def test_a_full_disk_is_told_of(
        self,
        server: Server,
        here: Any,
        monkeypatch: pytest.MonkeyPatch,
        act: str,
        deletion: Reply,
        told: str,
    ) -> None:
        server.answer("/auth/api-key/delete", deletion)
        with Path("/dev/full").open("w") as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            code, _, err = here(act)
        assert (code, told in err) == (3, True)

    def test_a_pipe_that_nobody_reads(
        self, server: Server, here: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.answer("/auth/api-key/list", keys_of(record()))
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as stdout:  # noqa: PTH123  # a descriptor has no path
            monkeypatch.setattr(sys, "stdout", stdout)
            assert here("mint")[0] == 3
            assert server.seen == []
            assert here("list")[0] == 141

    def test_no_stdout_at_all(
        self, server: Server, here: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        assert "(stdout is closed), so it was not made" in here("mint")[2]
        assert here("show", "7", "--json")[0] == 1
        assert here("show", "7")[0] == 1

    @pytest.mark.parametrize("arguments", [["mint"], ["rotate", "7"]])
    def test_ctrl_c_during_the_request_says_what_is_not_known(
        self, here: Any, server: Server, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
    ) -> None:
        def interrupt(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("pikku_auth.client.api.AuthServer.key_endpoint", interrupt)
        code, out, err = here(*arguments)
        assert (code, out) == (130, "")
        assert "It is not known whether a key was made: look with pikku-auth keys list.\n" in err

    def test_ctrl_c_at_a_pipe_that_nobody_empties_revokes_the_key(
        self, server: Server, here: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("pikku_auth.client.delivery.Delivery.hand_over", interrupt)
        assert here("mint")[0] == 130
        assert asked(server, "delete")[0]["keyId"] == "7"

    def test_a_key_needs_no_home(self, server: Server) -> None:
        done = client("keys", "mint", HOME="/nonexistent/home")
        assert (done.returncode, done.stdout) == (0, f"{SECRET}\n")


class TestTheServer:
    def test_a_credential_of_the_environment_goes_to_a_server_that_is_named(
        self, here: Any, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PIKKU_URL")
        store.save(a_login(server.url))
        code, _, err = here("list")
        assert (code, server.seen) == (1, [])
        assert "Which server is PIKKU_API_KEY for? Write --url" in err
        assert here("list", "--url", server.url)[0] == 0

    def test_a_login_goes_to_its_own(
        self, here: Any, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PIKKU_URL")
        monkeypatch.delenv("PIKKU_API_KEY")
        assert here("list")[0] == 1
        store.save(a_login(server.url))
        assert here("list")[0] == 0

    def test_a_refused_credential_ends_with_4(self, here: Any, server: Server) -> None:
        server.answer("/auth/api-key/get", refused(401, "UNAUTHORIZED"))
        assert here("show", "7")[0] == 4


class TestRotating:
    def test_the_old_key_lives_on_for_the_overlap(self, server: Server, here: Any) -> None:
        code, out, err = here("rotate", "7")
        assert (code, out) == (0, f"{SECRET}\n")
        assert err.endswith("The old key 7 ends within 1d.\n")
        assert asked(server, "rotate") == [{"keyId": "7", "overlap": 86_400}]

    def test_a_machine_rotates_itself(self, server: Server, here: Any) -> None:
        assert here("rotate", "--overlap", "1h")[2].endswith("The old key ends within 1h.\n")
        assert asked(server, "rotate") == [{"overlap": 3600}]

    def test_a_human_names_the_key(
        self, server: Server, here: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PIKKU_API_KEY")
        code, _, err = here("rotate")
        assert (code, server.seen) == (2, [])
        assert "Which key? Only a key in PIKKU_API_KEY may leave the id out." in err

    def test_children_are_kept_from_a_key_that_ends_only(self, server: Server, here: Any) -> None:
        assert here("rotate", "7", "--keep-children")[0] == 2
        assert here("rotate", "7", "--keep-children", "--revoke-now")[0] == 0
        [body] = asked(server, "rotate")
        assert body == {"keyId": "7", "overlap": None, "keepChildren": True}

    def test_at_once_asks_nobody_when_no_key_dies_with_it(self, server: Server, here: Any) -> None:
        code, _, err = here("rotate", "7", "--now")
        assert (code, err.endswith("The old key 7 is revoked.\n")) == (0, True)

    @pytest.mark.parametrize("arguments", [["7"], []])
    def test_at_once_does_not_end_children_unasked(
        self, server: Server, here: Any, arguments: list[str]
    ) -> None:
        server.answer("/auth/api-key/list", keys_of(record(id="9", parentId="7")))
        code, out, err = here("rotate", *arguments, "--revoke-now")
        assert (code, out, asked(server, "rotate")) == (1, "", [])
        assert "There is nobody to ask: add --no-input" in err
        assert here("rotate", *arguments, "--revoke-now", "--no-input")[0] == 0

    def test_at_once_shows_the_children_that_die(
        self, server: Server, here: Any, types: Callable[[bytes], None]
    ) -> None:
        server.answer("/auth/api-key/list", keys_of(record(id="9", name="child")))
        types(b"y\n")
        code, out, err = here("rotate", "7", "--revoke-now")
        assert (code, out) == (0, f"{SECRET}\n")
        assert err.startswith("Key 7 has minted 1 key:\n  child (pka_Ab12Cd34…) of sandbox")
        assert "Revoke them with it? [y/N] " in err

    def test_whoever_may_not_read_the_children_is_asked(self, server: Server, here: Any) -> None:
        server.answer("/auth/api-key/get", refused(403, "INSUFFICIENT_API_KEY_PERMISSIONS"))
        assert here("rotate", "7", "--revoke-now")[0] == 1
        assert asked(server, "rotate") == []


class TestRevoking:
    def test_it_asks_and_there_must_be_somebody(self, server: Server, here: Any) -> None:
        code, _, err = here("revoke", "7")
        assert (code, asked(server, "delete")) == (1, [])
        assert "There is nobody to ask" in err

    @pytest.mark.parametrize(
        ("named", "question"),
        [
            (["7"], "Revoke key 7, and every key that it has minted? [y/N] "),
            (["7", "8"], "Revoke the keys 7, 8, and every key that they have minted? [y/N] "),
        ],
    )
    def test_who_may_not_read_is_asked_as_well(
        self,
        server: Server,
        here: Any,
        types: Callable[[bytes], None],
        named: list[str],
        question: str,
    ) -> None:
        server.answer("/auth/api-key/get", refused(403, "INSUFFICIENT_API_KEY_PERMISSIONS"))
        types(b"yes\n")
        code, _, err = here("revoke", *named)
        assert (code, err.startswith(question)) == (0, True)
        assert len(asked(server, "delete")) == len(named)

    def test_a_child_that_is_named_is_counted_once(
        self, server: Server, here: Any, types: Callable[[bytes], None]
    ) -> None:
        child = record(id="8", parentId="7", delegation=None)
        server.answer("/auth/api-key/get", Reply(body=record(delegation=None)), Reply(body=child))
        server.answer("/auth/api-key/list", keys_of(child), keys_of())
        types(b"y\n")
        assert "Revoke 2 keys? " in here("revoke", "7", "8")[2]

    def test_who_may_not_see_every_child_is_asked_as_well(
        self, server: Server, here: Any, types: Callable[[bytes], None]
    ) -> None:
        server.answer("/auth/api-key/get", Reply(body=record()))
        stranger = refused(403, "USER_NOT_MEMBER_OF_ORGANIZATION")
        server.answer("/auth/api-key/list", keys_of(), stranger)
        types(b"y\n")
        code, _, err = here("revoke", "7")
        assert (code, "every key that it has minted? [y/N] " in err) == (0, True)

    def test_who_looks_at_all_has_no_children(
        self, server: Server, here: Any, types: Callable[[bytes], None]
    ) -> None:
        everybody = {"organizationIds": ["*"], "metadata": [], "maxKeys": 1}
        server.answer("/auth/api-key/get", Reply(body=record(delegation=everybody)))
        types(b"y\n")
        assert here("revoke", "7")[0] == 0
        assert len([seen for seen in server.seen if "/list?" in seen.path]) == 1

    def test_one_that_is_not_there_is_known_before_any_is_revoked(
        self, server: Server, here: Any
    ) -> None:
        there, missing = Reply(body=record(delegation=None)), refused(404, "KEY_NOT_FOUND", "No")
        server.answer("/auth/api-key/get", there, missing)
        assert here("revoke", "7", "8")[0] == 1
        assert asked(server, "delete") == []

    @pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04"])
    def test_anything_but_yes_is_no(
        self, server: Server, here: Any, types: Callable[[bytes], None], answer: bytes
    ) -> None:
        types(answer)
        code, _, err = here("revoke", "7")
        assert (code, asked(server, "delete")) == (1, [])
        assert err.endswith("[y/N] pikku-auth: Nothing was revoked.\n")

    def test_what_ends_is_shown_first(
        self, server: Server, here: Any, types: Callable[[bytes], None]
    ) -> None:
        children = [record(id=str(number), name=f"child-{number}") for number in range(9, 34)]
        server.answer("/auth/api-key/get", Reply(body=record(lastRequest=None)))
        server.answer("/auth/api-key/list", keys_of(*children), keys_of())
        types(b"y\n")
        code, _, err = here("revoke", "7")
        assert code == 0
        lines = err.splitlines()
        assert lines[0] == "  ci (pka_Ab12Cd34…) of sandbox-runtime, never used"
        assert lines[1] == "and 25 keys that they have minted:"
        assert lines[-2:] == ["  and 5 more", "Revoke 26 keys? [y/N] Revoked key 7."]
        assert "parentId=7" in server.seen[1].path
        listed = [seen.path.partition("organizationId=")[2] for seen in server.seen[1:3]]
        assert [name.partition("&")[0] for name in listed] == ["sandbox-runtime", "worker"]

    def test_several_are_counted(
        self, server: Server, here: Any, types: Callable[[bytes], None]
    ) -> None:
        types(b"y\n")
        code, _, err = here("revoke", "7", "8")
        assert (code, "Revoke 2 keys? [y/N] Revoked key 7.\nRevoked key 8.\n" in err) == (0, True)

    def test_several_with_a_reason(self, server: Server, here: Any) -> None:
        code, out, err = here("revoke", "7", "8", "7", "--no-input", "--reason", "leaked")
        assert (code, out, err) == (0, "", "Revoked key 7.\nRevoked key 8.\n")
        assert asked(server, "delete") == [
            {"keyId": "7", "reason": "leaked"},
            {"keyId": "8", "reason": "leaked"},
        ]

    def test_one_that_is_not_there_is_an_error(self, server: Server, here: Any) -> None:
        server.answer("/auth/api-key/delete", refused(404, "KEY_NOT_FOUND", "No key '7'"))
        code, _, err = here("revoke", "7", "--no-input")
        assert (code, err) == (1, "pikku-auth: No key '7'. It may have been revoked.\n")


class TestLooking:
    def test_a_list_is_a_table(self, server: Server, here: Any) -> None:
        one = record(id="7", lastRequest=None, expiresAt=None, scopes=["sandbox:read"])
        other = record(id="12", name=None, state="owner_inactive", permissions={}, scopes=[])
        server.answer("/auth/api-key/list", keys_of(one, other))
        code, out, err = here("list")
        assert (code, err) == (0, "")
        header, first, second = out.splitlines()
        assert header.split("  ")[0] == "ID"
        assert first.split("  active")[1].split()[:2] == ["never", "never"]
        assert first.endswith("sandbox:read (minted with sandbox:read sandbox:write)")
        assert "owner inactive" in second

    def test_as_json_it_is_an_object_a_line(self, server: Server, here: Any) -> None:
        server.answer("/auth/api-key/list", keys_of(record(), record(id="k1")))
        one, other = (json.loads(line) for line in here("list", "--json")[1].splitlines())
        assert (one["id"], other["id"]) == (7, "k1")
        assert one["expires_at"] == "2100-01-02T03:04:05+00:00"
        assert one["scopes"] == ["sandbox:read", "sandbox:write"]
        assert one["allowed_scopes"] == ["sandbox:read"]

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ([], ["1", "2", "3", "4"]),
            (["--limit", "2"], ["1", "2"]),
            (["--state", "disabled"], ["4"]),
            (["--expiring", "14d"], ["2"]),
            (["--unused", "90d"], ["1", "3"]),
        ],
    )
    def test_options_choose(
        self, server: Server, here: Any, options: list[str], found: list[str]
    ) -> None:
        now = datetime.now(UTC)
        old, soon = now - timedelta(days=100), now + timedelta(days=3)
        server.answer(
            "/auth/api-key/list",
            keys_of(
                record(id="1", lastRequest=None, createdAt=old.isoformat(), expiresAt=None),
                record(id="2", lastRequest=now.isoformat(), expiresAt=soon.isoformat()),
                record(id="3", lastRequest=old.isoformat()),
                record(id="4", state="disabled", lastRequest=old.isoformat()),
            ),
        )
        lines = here("list", "--json", *options)[1].splitlines()
        assert [str(json.loads(line)["id"]) for line in lines] == found

    @pytest.mark.parametrize("options", [["--revoked"], ["--state", "revoked"]])
    def test_revoked_ones_are_asked_for(
        self, server: Server, here: Any, options: list[str]
    ) -> None:
        assert here("list", *options)[2] == "There are no such keys.\n"
        assert "includeRevoked=true" in server.seen[0].path

    def test_options_narrow_what_is_asked_for(self, server: Server, here: Any) -> None:
        here("list", "--service", "worker", "--parent", "3")
        assert "organizationId=worker" in server.seen[0].path
        assert "parentId=3" in server.seen[0].path

    def test_one_is_shown_with_what_is_known_of_it(self, server: Server, here: Any) -> None:
        server.answer("/auth/api-key/get", Reply(body=record(name="\x1b[31mci")))
        code, out, _ = here("show", "7")
        assert code == 0
        assert "id: 7\nstart: pka_Ab12Cd34\nname: [31mci\n" in out
        assert 'metadata: {"team": "a"}\n' in out
        assert "scopes: sandbox:read sandbox:write\nallowed_scopes: sandbox:read\n" in out
        assert "revoked_at" not in out
        assert "permissions" not in out
        assert json.loads(here("show", "7", "--json")[1])["id"] == 7


class TestInATerminal:
    def test_yes_is_yes(self, server: Server, in_a_terminal: Callable[..., Running]) -> None:
        running = in_a_terminal("keys", "revoke", "7")
        running.screen.read_until("last used 2026-11-26 10:00 UTC? [y/N] ")
        running.screen.type(b"y\n")
        running.screen.read_until("Revoked key 7.")
        assert running.end() == (0, "")

    def test_no_is_no(self, server: Server, in_a_terminal: Callable[..., Running]) -> None:
        server.answer("/auth/api-key/get", Reply(body=record(delegation=None, lastRequest=None)))
        running = in_a_terminal("keys", "revoke", "7")
        shown = running.screen.read_until("[y/N] ")
        assert shown.endswith("Revoke ci (pka_Ab12Cd34…) of sandbox-runtime, never used? [y/N] ")
        running.screen.type(b"\n")
        running.screen.read_until("Nothing was revoked.")
        assert running.end() == (1, "")
        assert asked(server, "delete") == []

    def test_ctrl_c_is_no(self, server: Server, in_a_terminal: Callable[..., Running]) -> None:
        running = in_a_terminal("keys", "revoke", "7")
        running.screen.read_until("[y/N] ")
        running.screen.type(b"\x03")
        running.screen.read_until("Cancelled.")
        assert running.end() == (130, "")
        assert asked(server, "delete") == []

    def test_a_table_is_no_wider_than_the_terminal(self, server: Server) -> None:
        server.answer("/auth/api-key/list", keys_of(record(name="a name that is long " * 5)))
        shown = on_a_screen([*CLIENT, "keys", "list"], columns=100)
        lines = shown.replace("\r", "").splitlines()
        assert len(lines) == 2
        assert max(map(len, lines)) <= 100
        assert "…" in lines[1]


def on_a_screen(command: list[str], *, columns: int) -> str:
    """What a terminal of that width shows of a command until it ends."""
    master, slave = pty.openpty()
    with closing(os.fdopen(master, "rb", buffering=0)):
        environ = {**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"}
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        with running(command, env=environ, **streams):
            os.close(slave)
            shown = b""
            while more := read_now(master):
                shown += more
        return shown.decode()


class TestTables:
    @pytest.mark.parametrize(
        ("passed", "told"),
        [
            (timedelta(seconds=59), "just now"),
            (timedelta(seconds=60), "1 minute ago"),
            (timedelta(hours=5, minutes=59), "5 hours ago"),
            (timedelta(days=400), "400 days ago"),
        ],
    )
    def test_a_moment_is_told_in_one_unit(self, passed: timedelta, told: str) -> None:
        assert ago(NOW - passed, NOW) == told
        assert ahead(NOW - passed, NOW) == told

    def test_what_is_to_come_is_told_as_well(self) -> None:
        assert ahead(NOW + timedelta(days=1), NOW) == "in 1 day"
        assert ahead(NOW + timedelta(seconds=5), NOW) == "in less than a minute"
        assert ahead(None, NOW) == ago(None, NOW) == "never"

    def test_a_table_without_a_width_is_not_cut(self) -> None:
        assert [*table(["A", "B"], [["x" * 300, "y"]], None)][1] == f"{'x' * 300}  y"

    def test_a_narrow_terminal_has_columns_all_the_same(self) -> None:
        _, row = table(["A", "B"], [["x" * 30, "y" * 30]], 5)
        assert row == "xxxxxxx…  yyyyyyy…"
