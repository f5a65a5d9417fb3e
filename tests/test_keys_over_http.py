"""The client and the server together: a human and a machine manage keys from elsewhere."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from pikku_auth.client import (
    KeyNotFound,
    KeyRefused,
    Keys,
    NotAllowed,
    NotLoggedIn,
    SecretLost,
    Unreachable,
    cli,
)
from pikku_auth.client.api import Answer, AuthServer
from pikku_auth.client.key_options import STATES
from pikku_auth.client.models import Login
from pikku_auth.client.store import Store
from pikku_auth.core.delegation import Delegation
from pikku_auth.core.limits import Rate
from pikku_auth.flows import create_service_user, mint_key, verify_key
from pikku_auth.management.base import as_json
from pikku_auth.models import APIKey, KeyState, ServiceUser
from tests.client.conftest import UNSET
from tests.conftest import pikku_settings
from tests.logins import logged_in

pytestmark = pytest.mark.django_db(transaction=True)

EVERY_ACT = ["auth:mint", "auth:read", "auth:rotate", "auth:revoke"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def human(make_user: Callable[..., Any]) -> Any:
    user = make_user("grace")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="pikku_auth"))
    return user


@pytest.fixture
def as_human(
    human: Any, service_user: ServiceUser, live_server: Any
) -> Iterator[Callable[..., None]]:
    """Keep a login with these scopes, as ``pikku-auth login`` does."""

    def log_in(scope: str = " ".join(EVERY_ACT)) -> None:
        issued = logged_in(human, scope=scope)
        Store().save(Login(live_server.url, issued.token.reveal(), "Bearer"))

    with pikku_settings(LOGIN_SCOPES=["*", "auth:*"]):
        yield log_in


@pytest.fixture
def as_machine(service_user: ServiceUser, monkeypatch: pytest.MonkeyPatch) -> Callable[..., APIKey]:
    """Put a key into the environment that manages those of its own and of another."""

    def set_key(scopes: tuple[str, ...] = (*EVERY_ACT, "sandbox:read"), **options: Any) -> APIKey:
        owner = create_service_user("orchestrator")
        options.setdefault("delegation", Delegation([service_user.name], ["box"]))
        issued = mint_key(owner, scopes=scopes, **options)
        monkeypatch.setenv("PIKKU_API_KEY", issued.secret.reveal())
        return issued.key

    return set_key


@pytest.fixture
def keys(live_server: Any) -> Keys:
    return Keys(live_server.url)


class TestAHuman:
    def test_mints_a_key_with_everything_that_it_may_have(
        self, as_human: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        as_human()
        issued = keys.mint(
            "sandbox-runtime",
            name="ci",
            scopes=["auth:mint", "auth:read"],
            lifetime=timedelta(days=30),
            metadata={"team": "a"},
            networks=["127.0.0.0/8"],
            rate=Rate(100, timedelta(minutes=1)),
            quota=1000,
            refill=Rate(1000, timedelta(days=1)),
            delegation=Delegation(["sandbox-runtime"], ["box"], 7),
        )
        key, row = issued.key, APIKey.objects.get(pk=issued.key.id)
        assert verify_key(issued.secret.reveal(), ip="127.0.0.1").key == row
        assert key.name == row.name == "ci"
        assert key.scopes == key.minted_scopes == ("auth:mint", "auth:read")
        assert key.metadata == row.metadata == {"team": "a"}
        assert key.networks == ("127.0.0.0/8",)
        assert (key.rate, key.refill, key.remaining) == (row.rate, row.refill, 1000)
        assert key.delegation == row.delegate == Delegation(["sandbox-runtime"], ["box"], 7)
        assert row.expires_at is not None
        assert key.expires_at == row.expires_at.replace(
            microsecond=row.expires_at.microsecond // 1000 * 1000
        )
        assert issued.secret.reveal() not in repr(issued)

    def test_changes_a_key_and_ends_it(self, as_human: Any, keys: Keys) -> None:
        as_human()
        key = keys.mint("sandbox-runtime", scopes=["sandbox:read"], lifetime=None).key
        assert key.expires_at is None
        assert keys.rename(key, "new").name == "new"
        assert keys.disable(key).state == "disabled"
        assert keys.enable(key.id).state == "active"
        shortened = keys.shorten(int(key.id), timedelta(hours=1))
        assert shortened.expires_at is not None
        assert shortened.expires_at < datetime.now(UTC) + timedelta(hours=2)
        assert keys.get(key) == shortened
        keys.revoke(key, reason="the box has ended")
        assert APIKey.objects.get().revoke_reason == "the box has ended"
        with pytest.raises(KeyNotFound, match="It may have been revoked"):
            keys.get(key)
        assert [*keys.list()] == []
        [kept] = keys.list(include_revoked=True)
        assert kept.state == "revoked"

    def test_lists_more_keys_than_a_page_has(self, as_human: Any, keys: Keys, mint: Any) -> None:
        as_human()
        made = [str(mint(name=f"{number:03}").key.pk) for number in range(103)]
        assert [key.id for key in keys.list()] == made
        assert [key.id for key in keys.list(sort_by="name", descending=True)] == made[::-1]

    def test_needs_a_login_that_asked_for_it(
        self, as_human: Any, keys: Keys, live_server: Any
    ) -> None:
        as_human("auth:read")
        with pytest.raises(NotAllowed) as caught:
            keys.mint("sandbox-runtime")
        assert str(caught.value).endswith(
            "The scope auth:mint is missing. Log in again: "
            f"pikku-auth login --url {live_server.url} --scope auth:mint"
        )

    def test_needs_the_permission_and_is_told_which(
        self, as_human: Any, human: Any, keys: Keys, mint: Any
    ) -> None:
        as_human()
        human.user_permissions.remove(
            Permission.objects.get(codename="change_apikey", content_type__app_label="pikku_auth")
        )
        with pytest.raises(NotAllowed, match=r"permission pikku_auth.change_apikey is missing\.$"):
            keys.rename(mint().key.pk, "new")

    def test_names_a_service_user_that_there_is(self, as_human: Any, keys: Keys) -> None:
        as_human()
        with pytest.raises(KeyRefused, match="no such service user whose keys you manage"):
            keys.mint("nobody")
        with pytest.raises(KeyRefused) as caught:
            keys.mint()
        assert caught.value.code == "ORGANIZATION_ID_REQUIRED"

    def test_without_a_login_is_told_to_log_in(self, keys: Keys) -> None:
        with pytest.raises(NotLoggedIn, match="Run: pikku-auth login --url"):
            [*keys.list()]

    def test_whose_login_is_over_is_told_to_log_in(
        self, human: Any, keys: Keys, live_server: Any
    ) -> None:
        Store().save(Login(live_server.url, "pks_NoSuchToken", "Bearer"))
        with pytest.raises(NotLoggedIn, match=r"refuses the login in .* Run: pikku-auth login"):
            keys.mint("sandbox-runtime")


class TestAMachine:
    def test_mints_children_of_two_service_users(self, as_machine: Any, keys: Keys) -> None:
        parent = as_machine()
        own = keys.mint(scopes=["sandbox:read"]).key
        other = keys.mint("sandbox-runtime", scopes=["sandbox:read"], metadata={"box": 7}).key
        assert (own.service_user, other.service_user) == ("orchestrator", "sandbox-runtime")
        assert own.parent == other.parent == str(parent.pk)
        assert [key.id for key in keys.list("sandbox-runtime", parent=parent.pk)] == [other.id]

    def test_can_not_give_more_than_it_has(self, as_machine: Any, keys: Keys) -> None:
        as_machine()
        with pytest.raises(KeyRefused) as caught:
            keys.mint(scopes=["sandbox:write"])
        assert caught.value.code == "EXCEEDS_PARENT"
        assert "sandbox:write" in str(caught.value)

    def test_rotates_itself(
        self, as_machine: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = as_machine()
        issued = keys.rotate()
        assert issued.key.rotated_from == str(old.pk)
        monkeypatch.setenv("PIKKU_API_KEY", issued.secret.reveal())
        assert keys.get(issued.key).state == "active"

    def test_without_the_scope_is_told_which(self, as_machine: Any, keys: Keys) -> None:
        as_machine(scopes=("auth:read",))
        with pytest.raises(NotAllowed, match="It takes a key with the scope auth:mint, or a login"):
            keys.mint()

    def test_whose_key_is_dead_is_told_so(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch, db: None
    ) -> None:
        monkeypatch.setenv("PIKKU_API_KEY", "pka_nonsense")
        with pytest.raises(NotLoggedIn, match="refuses the key in PIKKU_API_KEY"):
            keys.mint()


class TestAnAnswerThatIsLost:
    """The server has made a key, and the client never hears of it."""

    @pytest.fixture(autouse=True)
    def lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first answer to a request that makes a key."""
        ask, answers = AuthServer.key_endpoint, iter(["lost"])

        def lossy(server: AuthServer, *arguments: Any, **options: Any) -> Answer:
            answer = ask(server, *arguments, **options)
            if options["request_id"] is not None and next(answers, None):
                raise Unreachable("The cable was pulled.")
            return answer

        monkeypatch.setattr(AuthServer, "key_endpoint", lossy)
        monkeypatch.setattr("pikku_auth.client.keys.time.sleep", lambda seconds: None)

    def test_a_human_has_one_key_and_its_secret(self, as_human: Any, keys: Keys) -> None:
        as_human()
        issued = keys.mint("sandbox-runtime", name="ci", scopes=["auth:read"])
        [key] = keys.list()
        assert key == issued.key
        assert verify_key(issued.secret.reveal()).key == APIKey.objects.get(pk=key.id)

    def test_a_machine_has_one_child_and_its_secret(self, as_machine: Any, keys: Keys) -> None:
        parent = as_machine()
        issued = keys.mint(scopes=["sandbox:read"])
        assert issued.key.parent == str(parent.pk)
        assert [key.id for key in keys.list(parent=parent.pk)] == [issued.key.id]
        assert verify_key(issued.secret.reveal(), scopes=["sandbox:read"])

    def test_a_machine_that_rotates_a_child_has_its_secret(
        self, as_machine: Any, keys: Keys, mint: Any
    ) -> None:
        parent = as_machine()
        child = mint(scopes=["sandbox:read"], lifetime=timedelta(days=1)).key
        APIKey.objects.filter(pk=child.pk).update(parent=parent)
        issued = keys.rotate(child.pk)
        assert issued.key.parent == str(parent.pk)
        assert verify_key(issued.secret.reveal(), scopes=["sandbox:read"])

    def test_a_machine_that_rotates_itself_is_told_and_a_human_mends_it(
        self, as_machine: Any, as_human: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A key never gets the secret of one that outlives it."""
        as_machine()
        with pytest.raises(SecretLost) as caught:
            keys.rotate()
        assert caught.value.key_id is not None
        monkeypatch.delenv("PIKKU_API_KEY")
        as_human()
        issued = keys.rotate(caught.value.key_id, overlap=None, keep_children=True)
        assert issued.key.rotated_from == caught.value.key_id

    def test_without_the_scope_to_rotate_it_is_told(self, as_human: Any, keys: Keys) -> None:
        as_human("auth:mint")
        with pytest.raises(SecretLost, match="its secret lost on the way") as caught:
            keys.mint("sandbox-runtime")
        assert caught.value.key_id == str(APIKey.objects.get().pk)

    def test_a_machine_that_rotated_itself_away_is_told(self, as_machine: Any, keys: Keys) -> None:
        as_machine()
        with pytest.raises(SecretLost, match="takes this credential no more"):
            keys.rotate(overlap=None)


class TestTheTerminal:
    @pytest.fixture
    def run(
        self, live_server: Any, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., tuple[int, str, str]]:
        def run(*arguments: str) -> tuple[int, str, str]:
            code = cli.main(["keys", *arguments, "--url", live_server.url])
            return code, *capsys.readouterr()

        return run

    def test_a_human_mints_lists_rotates_and_revokes(self, as_human: Any, run: Any) -> None:
        as_human()
        code, secret, said = run(
            "mint", "--service", "sandbox-runtime", "--scope", "sandbox:read", "--name", "ci"
        )
        assert code == 0
        old = verify_key(secret.strip()).key
        assert old is not None
        assert said.startswith(f"Key {old.pk}, {old} of sandbox-runtime: sandbox:read; expires ")
        assert "Copy it now" in said
        code, told, _ = run("list", "--json")
        assert (code, json.loads(told)["id"]) == (0, old.pk)
        code, table, _ = run("list")
        assert table.splitlines()[0].startswith("ID")
        assert "sandbox-runtime" in table
        code, shown, _ = run("show", str(old.pk))
        assert "name: ci\n" in shown
        code, secret, said = run("rotate", str(old.pk), "--overlap", "1h")
        new = verify_key(secret.strip()).key
        assert new is not None
        assert new.rotated_from == old
        assert said.endswith(f"The old key {old.pk} ends within 1h.\n")
        code, _, said = run("revoke", str(new.pk), "--no-input", "--reason", "over")
        assert (code, said) == (0, f"Revoked key {new.pk}.\n")
        new.refresh_from_db()
        assert new.revoke_reason == "over"

    def test_a_machine_mints_lists_rotates_and_revokes(
        self, as_machine: Any, run: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parent = as_machine()
        code, told, _ = run("mint", "--service", "sandbox-runtime", "--format", "json")
        child = json.loads(told)
        assert (code, child["parent"]) == (0, parent.pk)
        code, told, _ = run(
            "list", "--parent", str(parent.pk), "--service", "sandbox-runtime", "--json"
        )
        assert json.loads(told)["id"] == child["id"]
        code, told, said = run("rotate", "--revoke-now", "--keep-children", "--format", "env")
        assert code == 0
        assert said.endswith("The old key is revoked.\n")
        name, _, secret = told.strip().partition("=")
        monkeypatch.setenv(name, secret)
        assert run("revoke", str(child["id"]), "--no-input")[0] == 0
        assert APIKey.objects.get(pk=child["id"]).state(datetime.now(UTC)) is KeyState.REVOKED

    def test_a_script_reads_what_manage_py_would_tell(
        self, as_machine: Any, run: Any, mint: Any
    ) -> None:
        parent = as_machine()
        child = mint(
            name="ci",
            scopes=["sandbox:*"],
            metadata={"box": 7},
            networks=["192.0.2.0/24"],
            rate=Rate(5, timedelta(seconds=1)),
            quota=7,
            refill=Rate(7, timedelta(days=1)),
        ).key
        APIKey.objects.filter(pk=child.pk).update(parent=parent)
        for key in (parent, child):
            key.refresh_from_db()
            here = json.loads(json.dumps(as_json(key, "active")))
            there = json.loads(run("show", str(key.pk), "--json")[1])
            moments = {name for name in there if name.endswith("_at")}
            assert {name: here[name] for name in there.keys() - moments} == {
                name: there[name] for name in there.keys() - moments
            }
            for name in moments - {"last_used_at"}:  # asking was a use
                assert (here[name] or "")[:19] == (there[name] or "")[:19]

    def test_revoking_a_parent_ends_its_children(
        self, as_machine: Any, as_human: Any, run: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parent = as_machine()
        assert run("mint", "--service", "sandbox-runtime", "--scope", "sandbox:read")[0] == 0
        assert run("mint", "--scope", "sandbox:read")[0] == 0
        monkeypatch.delenv("PIKKU_API_KEY")
        as_human()
        with monkeypatch.context() as patch:
            master, slave = pty.openpty()
            os.write(master, b"y\n")
            patch.setattr(sys, "stdin", os.fdopen(slave))
            code, _, said = run("revoke", str(parent.pk))
            sys.stdin.close()
            os.close(master)
        assert code == 0
        assert "and 2 keys that they have minted:" in said
        assert "Revoke 3 keys?" in said
        states = {key.state(datetime.now(UTC)) for key in APIKey.objects.all()}
        assert states == {KeyState.REVOKED}

    def test_mint_takes_every_bound(self, as_human: Any, run: Any) -> None:
        as_human()
        options = [
            *("--service", "sandbox-runtime", "--scope", "auth:mint", "--expires-in", "never"),
            *("--metadata", '{"a": 1}', "--network", "192.0.2.0/24", "--rate", "5/s"),
            *("--quota", "7", "--refill", "7/d", "--for-service", "sandbox-runtime"),
            *("--child-metadata", "box", "--max-children", "3"),
        ]
        assert run("mint", *options)[0] == 0
        row = APIKey.objects.get()
        assert (row.metadata, row.networks, row.expires_at) == ({"a": 1}, ["192.0.2.0/24"], None)
        assert (str(row.rate), row.remaining, str(row.refill)) == ("5/s", 7, "7/d")
        assert row.delegate == Delegation(["sandbox-runtime"], ["box"], 3)

    def test_an_output_that_can_not_be_written_leaves_no_live_key(
        self, as_human: Any, run: Any, tmp_path: Path
    ) -> None:
        as_human()
        file = tmp_path / "key"
        assert run("mint", "--service", "sandbox-runtime", "--output", str(file))[:2] == (0, "")
        assert file.stat().st_mode & 0o777 == 0o600
        assert verify_key(file.read_text().strip())
        code, _, said = run("mint", "--service", "sandbox-runtime", "--output", str(file))
        assert code == 3
        assert "could not be handed over (File exists), so it was not made" in said
        assert APIKey.objects.count() == 1


def test_the_terminal_knows_every_state() -> None:
    assert sorted(STATES) == sorted(KeyState.values)
