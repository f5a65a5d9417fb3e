"""What the commands say of the keys that keys have minted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from pikku_auth.core.delegation import Delegation
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    disable_key,
    revoke_key,
)
from pikku_auth.models import APIKey, ServiceUser
from tests.commands.test_revoke_key import Terminal
from tests.families import child_of, many_children, parent_of

pytestmark = pytest.mark.django_db

Output = pytest.CaptureFixture[str]


@pytest.fixture
def parent(service_user: ServiceUser) -> IssuedKey:
    return parent_of(service_user)


@pytest.fixture
def pk(parent: IssuedKey) -> str:
    return str(parent.key.pk)


def alive() -> int:
    return APIKey.objects.filter(revoked_at=None).count()


class TestMinting:
    """A key that makes keys says for whom, and how many."""

    MINT = ("mint_key", "--service", "sandbox-runtime", "--scope", "auth:mint")

    @pytest.fixture(autouse=True)
    def _machines(self, service_user: ServiceUser) -> None:
        for name in ("builder", "deployer"):
            create_service_user(name)

    def test_without_options_it_acts_for_its_own_service_user(self) -> None:
        call_command(*self.MINT)
        assert APIKey.objects.get().delegation == {}

    def test_the_options_are_its_delegation(self) -> None:
        services = ["--for-service", "builder", "--for-service", "deployer"]
        metadata = ["--child-metadata", "sandbox_id", "--child-metadata", "run"]
        call_command(*self.MINT, *services, *metadata, "--max-children", "7")
        expected = Delegation(("builder", "deployer"), ("sandbox_id", "run"), most=7)
        assert APIKey.objects.get().delegate == expected

    def test_json_has_it(self, capsys: Output) -> None:
        call_command(*self.MINT, "--max-children", "7", "--format", "json")
        told = json.loads(capsys.readouterr().out)["delegation"]
        assert told == {"service_users": [], "metadata": [], "most": 7}

    def test_a_key_that_only_looks_may_be_shown_those_of_all(self) -> None:
        call_command(*self.MINT[:-1], "auth:introspect", "--for-service", "*")
        assert APIKey.objects.get().delegate == Delegation(("*",))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--for-service", "*"], "--for-service: .* is for keys that only look"),
            (["--for-service", "build"], "'build'"),
            (["--child-metadata", "x" * 65], "--child-metadata: Metadata can't have a member"),
            (["--max-children", "0"], "write a whole number above 0"),
            (["--max-children", "1000001"], "--max-children: .* from 1 to 1000000"),
        ],
    )
    def test_what_is_wrong_is_said_with_the_option(
        self, arguments: list[str], message: str
    ) -> None:
        with pytest.raises(CommandError, match=message):
            call_command(*self.MINT, *arguments)
        assert not APIKey.objects.exists()

    def test_a_key_that_manages_none_has_no_use_for_them(self) -> None:
        with pytest.raises(CommandError, match="--for-service: Only a key with a scope such as"):
            call_command(*self.MINT[:-1], "sandbox:read", "--for-service", "builder")

    def test_a_deployment_repeats_them(self, capsys: Output) -> None:
        again = (*self.MINT, "--name", "ci", "--for-service", "builder", "--rotate")
        call_command(*again)
        call_command(*again)
        assert APIKey.objects.count() == 2
        with pytest.raises(CommandError, match=r"--for-service: The live key .* has other"):
            call_command(*again, "--for-service", "deployer")


class TestRotating:
    """After a leak the keys that a key has minted end with it."""

    def test_now_names_those_that_will_be_revoked_first(
        self, parent: IssuedKey, pk: str, capsys: Output
    ) -> None:
        child = child_of(parent, name="child").key
        call_command("rotate_key", pk, "--now")
        first, named, *rest = capsys.readouterr().err.splitlines()
        assert first == "1 key that it has minted will be revoked with it:"
        assert named == f"{child} of sandbox-runtime"
        assert rest[-1].endswith(" is revoked.")
        child.refresh_from_db()
        assert child.revoked_at

    def test_now_names_twenty_of_many(self, parent: IssuedKey, pk: str, capsys: Output) -> None:
        many_children(parent.key, 23)
        call_command("rotate_key", pk, "--now")
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == "23 keys that it has minted will be revoked with it:"
        assert sum(line.startswith("child-") for line in lines) == 20
        assert lines[21] == "and 3 more"
        assert alive() == 1

    @pytest.mark.parametrize("how", [["--now", "--keep-children"], []])
    def test_they_can_be_kept(
        self, parent: IssuedKey, pk: str, capsys: Output, how: list[str]
    ) -> None:
        child = child_of(parent).key
        call_command("rotate_key", pk, *how)
        told = capsys.readouterr().err
        assert told.endswith("The new key has 1 key that the old one minted.\n")
        child.refresh_from_db()
        assert child.revoked_at is None
        assert child.parent == APIKey.objects.get(rotated_from=parent.key)

    def test_nothing_is_said_where_there_are_none(
        self, parent: IssuedKey, pk: str, capsys: Output
    ) -> None:
        revoke_key(child_of(parent).key)
        call_command("rotate_key", pk, "--now")
        assert "minted" not in capsys.readouterr().err

    def test_to_keep_them_is_for_a_leak(self, parent: IssuedKey, pk: str) -> None:
        with pytest.raises(CommandError, match="Only with --now"):
            call_command("rotate_key", pk, "--keep-children")


class TestRevoking:
    """The question and the note say how many keys end as well."""

    def test_one_says_it_before_and_after(self, parent: IssuedKey, pk: str, capsys: Output) -> None:
        child_of(parent)
        child_of(parent)
        key = f"{parent.key} of sandbox-runtime"
        call_command("revoke_key", pk, stdin=Terminal("y\n"))
        told = re.sub("last used [^,]* UTC", "used", capsys.readouterr().err)
        assert told == (
            f"Revoke {key}, used, and 2 keys that it has minted? [y/N] "
            f"Revoked {key}, and 2 keys that it has minted.\n"
        )
        assert alive() == 0

    def test_many_count_those_that_were_not_chosen(
        self, parent: IssuedKey, mint: Callable[..., IssuedKey], pk: str, capsys: Output
    ) -> None:
        chosen = [mint().key, child_of(parent).key]
        child_of(parent)
        ids = [pk, *(str(key.pk) for key in chosen)]
        call_command("revoke_key", *ids, stdin=Terminal("y\n"))
        assert "Revoke 3 keys, and 1 key that they have minted? [y/N] " in capsys.readouterr().err
        assert alive() == 0

    def test_a_dry_run_counts_them(self, parent: IssuedKey, pk: str, capsys: Output) -> None:
        child_of(parent)
        call_command("revoke_key", pk, "--dry-run")
        told = "1 key, and 1 key that it has minted would be revoked.\n"
        assert capsys.readouterr().err == told
        assert alive() == 2


class TestDisabling:
    """The note says how many keys stop, or go on, as well."""

    def test_and_enabling(self, parent: IssuedKey, pk: str, capsys: Output) -> None:
        for _ in range(2):
            child_of(parent)
        disable_key(child_of(parent).key)
        key = f"{parent.key} of sandbox-runtime"
        call_command("disable_key", pk)
        call_command("enable_key", pk)
        assert capsys.readouterr().err == (
            f"Disabled {key}, and 2 keys that it has minted.\n"
            f"Enabled {key}, and 2 keys that it has minted.\n"
        )

    def test_of_a_machine_that_is_out_lets_none_go_on(
        self, parent: IssuedKey, service_user: ServiceUser, pk: str, capsys: Output
    ) -> None:
        child_of(parent)
        deactivate_service_user(service_user)
        call_command("disable_key", pk)
        call_command("enable_key", pk)
        assert "minted" not in capsys.readouterr().err


class TestListing:
    """The keys that one key has minted, and which key has minted each."""

    def listed(self, capsys: Output, *options: str) -> list[dict[str, Any]]:
        call_command("list_keys", "--format", "json", *options)
        rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return rows

    @pytest.mark.parametrize("how", ["pk", "preview"])
    def test_parent_is_one_keys(self, parent: IssuedKey, capsys: Output, how: str) -> None:
        child = child_of(parent, name="child").key
        rows = self.listed(capsys, "--parent", str(getattr(parent.key, how)))
        assert [(row["id"], row["parent"]) for row in rows] == [(child.pk, parent.key.pk)]
        assert self.listed(capsys, "--parent", str(child.pk)) == []

    def test_an_unknown_parent_is_an_error(self, parent: IssuedKey) -> None:
        with pytest.raises(CommandError, match="There is no key '987654'"):
            call_command("list_keys", "--parent", "987654")

    def test_what_stops_with_its_parent_says_so(self, parent: IssuedKey, capsys: Output) -> None:
        child_of(parent)
        disable_key(parent.key)
        by, child = self.listed(capsys)
        assert (by["state"], by["suspended"], by["parent"]) == ("disabled", False, None)
        assert (child["state"], child["suspended"]) == ("suspended", True)
        assert [row["id"] for row in self.listed(capsys, "--state", "suspended")] == [child["id"]]
        call_command("list_keys", "--state", "suspended")
        assert "  stopped with its parent  " in capsys.readouterr().out
