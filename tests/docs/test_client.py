"""What docs/client.md shows, run."""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
from dataclasses import fields

import pytest

from pikku_auth.client import Key, Keys, cli
from pikku_auth.client.key_options import ACTS
from pikku_auth.client.store import Store
from tests.client.servers import DeviceServer, Reply, Server
from tests.client.test_httpx import credentials
from tests.client.test_keys import SECRET, issued
from tests.client.test_websockets import SocketServer
from tests.docs.pages import examples, run, text_of


def test_a_session_asks_with_the_key(server: Server, key: str) -> None:
    server.answer("/api/sandboxes/", Reply(body=[]))
    session, *_ = examples("client.md")
    run(session.replace("https://app.example.com", server.url), {})
    assert credentials(server) == {"x-api-key": key}


def test_httpx_asks_with_the_key(server: Server, key: str) -> None:
    server.answer("/api/sandboxes/", Reply(body=[]))
    _, httpx, *_ = examples("client.md")
    assert run(httpx, {})["sandboxes"](server.url) == []
    assert credentials(server) == {"x-api-key": key}


def test_a_websocket_opens_with_the_key(key: str) -> None:
    _, _, websockets, _ = examples("client.md")
    with SocketServer() as server:
        assert asyncio.run(run(websockets, {})["first_message"](server.url)) == "hello"
    assert server.seen[0]["x-api-key"] == key


def test_a_program_mints_a_key_and_revokes_it(server: Server, key: str) -> None:
    server.answer("/auth/api-key/create", issued())
    server.answer("/auth/api-key/delete", Reply(body={"success": True}))
    *_, example = examples("client.md")
    given: list[str] = []
    names = run(example.replace("https://app.example.com", server.url), {})
    names["run_in_a_sandbox"]("sbx_42", given.append)
    assert given == [SECRET]
    minted, revoked = (seen.json for seen in server.seen)
    assert minted["metadata"] == {"sandbox": "sbx_42"}
    assert revoked == {"keyId": "7", "reason": "the sandbox has ended"}


def test_a_human_mints_a_key_as_is_shown(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (console,) = examples("client.md", "console")
    log_in, mint, *shown = console.splitlines()
    with DeviceServer() as server:
        server.answer_auth("/device/code", server.codes(interval=1))
        told = {"name": None, "expiresAt": "2026-12-23T09:00:00.000Z"}
        scopes = {"scopes": ["sandbox:read"], "permissions": {"sandbox": ["read"]}}
        server.answer_auth("/api-key/create", issued(**told, **scopes))
        typed = log_in.replace("https://app.example.com", server.url)
        assert cli.main(shlex.split(typed.removeprefix("$ pikku-auth "))) == 0
        found = re.fullmatch(r"\$ KEY=\$\(pikku-auth (.*)\)", mint)
        assert found
        capsys.readouterr()
        assert cli.main(shlex.split(found[1])) == 0
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == (f"{SECRET}\n", shown)
    assert server.seen[-1].json["expiresIn"] == 2_592_000


def test_each_option_of_keys_is_told() -> None:
    page = text_of("client.md")
    for act, (_, add_options) in ACTS.items():
        parser = argparse.ArgumentParser(add_help=False)
        add_options(parser)
        assert f"`keys {act} " in page
        for option in (action.option_strings[0] for action in parser._actions[1:]):
            assert option in page, option


def test_each_method_of_keys_is_told() -> None:
    page = text_of("client.md").partition("### In a program")[2]
    named = set(re.findall(r"`(\w+)\(", page))
    assert named >= {name for name, value in vars(Keys).items() if not name.startswith("_")} - {
        "url"
    }


def test_each_member_of_a_key_is_told() -> None:
    page = text_of("client.md").partition("- A `Key` is frozen")[2].partition("An `IssuedKey`")[0]
    assert re.findall(r"`(\w+)`", page) == [field.name for field in fields(Key)]
