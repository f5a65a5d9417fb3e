"""What docs/keys.md shows, run."""

from __future__ import annotations

import base64
import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.dispatch import Signal
from django.test import Client
from django.utils import timezone

from pikku_auth import exceptions, signals
from pikku_auth.core.limits import parse_rate
from pikku_auth.core.permissions import AUTH_ACTIONS
from pikku_auth.core.secrets import generate
from pikku_auth.flows import IssuedKey, import_key, revoke_key, verify_key
from pikku_auth.models import APIKey, AuditEvent, KeyState, ServiceUser
from tests.conftest import IN_KEY_HEADER, pikku_settings
from tests.docs.pages import examples, run, text_of

Mint = Callable[..., IssuedKey]


class TestTheVerbs:
    """What became of the service user and its keys."""

    @pytest.fixture(autouse=True)
    def _run(self, db: None) -> None:
        verbs, *_ = examples("keys.md")
        run(verbs, {})

    def test_the_service_user_is_made(self) -> None:
        owner = ServiceUser.objects.get()
        assert (owner.name, owner.description) == ("sandbox-runtime", "Runs the sandboxes")
        assert owner.is_usable

    def test_the_rotated_key_lives_for_another_hour(self) -> None:
        key = APIKey.objects.select_related("service_user__user").earliest("pk")
        assert (key.name, key.scopes) == ("ci", ["sandbox:read", "sandbox:write"])
        assert key.metadata == {"sandbox_id": "sbx_42"}
        now = timezone.now()
        assert key.state(now) is KeyState.ACTIVE
        assert key.state(now + timedelta(hours=1)) is KeyState.EXPIRED

    def test_its_successor_is_revoked(self) -> None:
        old, new = APIKey.objects.select_related("service_user__user").order_by("pk")
        assert (new.rotated_from, new.name, new.scopes) == (old, old.name, old.scopes)
        assert new.state(timezone.now()) is KeyState.REVOKED
        assert new.revoke_reason == "found in a log"


class TestVerifying:
    """``verify_key`` outside of a request."""

    @pytest.fixture
    def caller_of(self) -> Callable[..., Any]:
        _, verifying, *_ = examples("keys.md")
        caller_of: Callable[..., Any] = run(verifying, {})["caller_of"]
        return caller_of

    @pytest.mark.django_db
    def test_a_good_key_is_its_users(self, caller_of: Callable[..., Any], mint: Mint) -> None:
        issued = mint(scopes=["sandbox:read"], networks=["192.0.2.0/24"])
        user: Any = issued.key.service_user.user
        answer = caller_of(issued.secret.reveal(), "192.0.2.7")
        assert answer == (200, "ok", user.get_username())

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"lifetime": timedelta(microseconds=1)}, "invalid_key"),
            ({"networks": ["198.51.100.0/24"]}, "network_not_allowed"),
            ({"scopes": ["sandbox:write"]}, "insufficient_scope"),
        ],
    )
    def test_a_bad_one_is_an_error_with_a_code(
        self, caller_of: Callable[..., Any], mint: Mint, options: dict[str, Any], code: str
    ) -> None:
        issued = mint(**{"scopes": ["sandbox:read"], **options})
        assert caller_of(issued.secret.reveal(), "192.0.2.7")[1] == code

    @pytest.mark.django_db
    def test_so_is_one_that_is_used_up(self, caller_of: Callable[..., Any], mint: Mint) -> None:
        issued = mint(scopes=["sandbox:read"], rate=parse_rate("1/d"))
        codes = [caller_of(issued.secret.reveal(), None)[1] for _ in range(2)]
        assert codes == ["ok", "limit_exceeded"]

    def test_each_error_that_it_raises_is_in_the_table(self) -> None:
        raised = re.findall(r":raises (\w+):", inspect.getdoc(verify_key) or "")
        told = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text_of("keys.md"), re.MULTILINE)
        assert {name for name, _ in told} == set(raised)
        assert [getattr(exceptions, name).status for name, _ in told] == [int(s) for _, s in told]


@pytest.mark.django_db
def test_the_ceiling_is_set_and_taken_away(service_user: ServiceUser) -> None:
    _, _, ceiling, *_ = examples("keys.md")
    vocabulary = {"sandbox": ["read"]}
    with pikku_settings(SCOPES=vocabulary):
        run(ceiling, {"service_user": service_user})
    events = AuditEvent.objects.filter(action="service_user_scopes_set").order_by("pk")
    set_to = [event.details["scopes"] for event in events]
    assert set_to == [["perm:shop.view_order", "sandbox:read"], [], None]


@pytest.mark.django_db
def test_bounds_of_a_live_key_are_changed(mint: Mint) -> None:
    key = mint(networks=["192.0.2.0/24"], rate=parse_rate("1/m"), quota=5).key
    *_, bounds, _ = examples("keys.md")
    run(bounds, {"key": key})
    key.refresh_from_db()
    assert (key.networks, key.rate, key.remaining) == (["198.51.100.0/24"], None, 5)


class TestKeysThatMakeKeys:
    """A parent and its child, as the page makes them."""

    @pytest.fixture
    def names(self, service_user: ServiceUser) -> dict[str, Any]:
        *_, families = examples("keys.md")
        return run(families, {})

    def test_the_child_has_what_is_written(self, names: dict[str, Any]) -> None:
        key = names["child"].key
        *_, families = examples("keys.md")
        (written,) = re.findall("child.key.metadata  # (.*)", families)
        assert key.metadata == json.loads(written)
        assert (key.parent, key.scopes) == (names["parent"].key, ["sandbox:read"])

    def test_it_ends_with_its_parent(self, names: dict[str, Any]) -> None:
        revoke_key(names["parent"].key)
        with pytest.raises(exceptions.InvalidKey):
            verify_key(names["child"].secret.reveal())

    def test_each_scope_is_in_the_table(self) -> None:
        told = re.findall(r"^\| `auth:(\w+)` \|", text_of("keys.md"), re.MULTILINE)
        assert sorted(told) == sorted(AUTH_ACTIONS)

    def test_each_state_is_in_the_table(self) -> None:
        _, _, table = text_of("keys.md").partition("| state | how it comes to be |")
        told = re.findall(r"^\| ([a-z ]+) \|", table.partition("\n\n")[0], re.MULTILINE)
        assert sorted(told) == sorted(str(state.label) for state in KeyState)


def test_trying_a_key_tells_what_it_is(mint: Mint, client: Client) -> None:
    (console,) = examples("keys.md", "console")
    *typed, shown = console.splitlines()
    (curl,) = [shlex.split(line) for line in typed if line.startswith("$ curl")]
    name, _, value = curl[curl.index("-H") + 1].partition(": ")
    assert (typed[0], value) == ("$ read -rs PIKKU_API_KEY", "$PIKKU_API_KEY")
    issued = mint(name="ci", scopes=["sandbox:read"])
    answer = client.get(urlsplit(curl[-1]).path, headers={name: issued.secret.reveal()})
    told, written = answer.json(), json.loads(shown)
    assert told.keys() == written.keys()
    # A host's users may be called otherwise.
    varying: dict[str, Any] = {"user": None, "expires_at": None, "max_expires_at": None}
    varying["key"] = {**written["key"], "start": issued.key.preview}
    assert {**told, **varying} == {**written, **varying}


class TestFindingSecrets:
    """What a scanner is told to look for."""

    @pytest.fixture
    def pattern(self) -> str:
        (pattern,) = examples("keys.md", "")
        return pattern.strip()

    def test_a_key_is_found_wherever_it_stands(self, pattern: str) -> None:
        for _ in range(100):
            secret = generate("pka").reveal()
            assert re.findall(pattern, f"KEY={secret}\n'{secret}',") == [secret] * 2

    @pytest.mark.parametrize("change", ["pkb{}", "PKA{}", "xpka{}", "pka{}0", "pk{}", "pka_{}"])
    def test_what_is_no_key_is_not(self, pattern: str, change: str) -> None:
        for _ in range(100):
            text = change.format(generate("pka").reveal().removeprefix("pka"))
            assert not re.search(pattern, text)

    def test_gitleaks_has_the_same(self, pattern: str) -> None:
        (config,) = examples("keys.md", "toml")
        (rule,) = tomllib.loads(config)["rules"]
        secret = generate("pka").reveal()
        assert rule["regex"] == pattern
        assert all(keyword in secret for keyword in rule["keywords"])
        assert rule["id"]
        assert rule["description"]


@pytest.mark.django_db
def test_a_key_of_better_auth_is_taken_over(service_user: ServiceUser) -> None:
    text = "better-auth-s-own-key-" + "k" * 42
    digest = sha256(text.encode()).digest()
    stored = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    (written,) = re.findall(r"`(base64\.\S+ \+ \S+)`", text_of("keys.md"))
    in_hex = eval(written, {"base64": base64, "stored": stored})  # noqa: S307  # as for exec
    imported = import_key(service_user, digest=in_hex, preview="better-auth")
    with pikku_settings(IMPORTED_KEYS=IN_KEY_HEADER):
        assert verify_key(text).key == imported


class TestSignals:
    """The table of them."""

    @pytest.fixture
    def rows(self) -> dict[str, list[str]]:
        """The arguments that each signal is said to have."""
        found = re.findall(
            r"^\| ((?:`\w+`(?:, )?)+) \| ((?:`\w+`(?:, )?)+) \| ",
            text_of("keys.md").partition("## Signals")[2],
            re.MULTILINE,
        )
        return {
            name: re.findall(r"\w+", arguments)
            for names, arguments in found
            for name in re.findall(r"\w+", names)
        }

    def test_each_is_in_it(self, rows: dict[str, list[str]]) -> None:
        assert set(rows) == {name for name, it in vars(signals).items() if isinstance(it, Signal)}

    def test_each_has_the_arguments_that_its_docstring_names(
        self, rows: dict[str, list[str]]
    ) -> None:
        source = inspect.getsource(signals)
        told = dict(re.findall(r'^(\w+) = Signal\(.*\)\n"""(.*)', source, re.MULTILINE))
        for name, arguments in rows.items():
            named = set(re.findall(r"``(\w+)``", told[name])) - {"context", "None"}
            assert set(arguments) == named, name
