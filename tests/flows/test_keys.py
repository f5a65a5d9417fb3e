"""Ending, pausing and finding keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pikku_auth.exceptions import InvalidInput, InvalidKey, KeyNotFound
from pikku_auth.flows import (
    IssuedKey,
    delete_key,
    disable_key,
    enable_key,
    find_key,
    import_key,
    rename_key,
    revoke_key,
    verify_key,
)
from pikku_auth.models import APIKey, AuditEvent, KeyState, ServiceUser

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_revoked_key_is_refused_from_the_next_request_on(mint: Callable[..., IssuedKey]) -> None:
    issued = mint()
    verify_key(issued.secret.reveal())
    assert revoke_key(issued.key, reason="leaked")
    with pytest.raises(InvalidKey):
        verify_key(issued.secret.reveal())


def test_revoking_says_when_and_why(mint: Callable[..., IssuedKey]) -> None:
    key = mint(now=NOW).key
    revoke_key(key, reason="leaked", now=NOW + DAY)
    stored = APIKey.objects.get()
    for seen in (key, stored):
        assert (seen.revoked_at, seen.revoke_reason) == (NOW + DAY, "leaked")


def test_revoking_twice_is_no_error_and_changes_nothing(mint: Callable[..., IssuedKey]) -> None:
    key = mint(now=NOW).key
    stale = APIKey.objects.get()
    revoke_key(key, reason="leaked", now=NOW)
    assert not revoke_key(key, reason="again", now=NOW + DAY)
    assert not revoke_key(stale, reason="again", now=NOW + DAY)
    assert (stale.revoked_at, stale.revoke_reason) == (NOW, "leaked")


@pytest.mark.parametrize("reason", ["x" * 201, "two\nlines", "nul\0"])
def test_a_reason_has_at_most_200_printable_characters(
    mint: Callable[..., IssuedKey], reason: str
) -> None:
    key = mint().key
    with pytest.raises(InvalidInput, match=r"at most 200|can't be seen") as refusal:
        revoke_key(key, reason=reason)
    assert refusal.value.field == "reason"
    assert APIKey.objects.get().revoked_at is None
    assert revoke_key(key, reason="x" * 200)


def test_an_expired_key_can_still_be_revoked(mint: Callable[..., IssuedKey]) -> None:
    key = mint(lifetime=DAY, now=NOW).key
    assert revoke_key(key, now=NOW + 2 * DAY)


def test_a_disabled_key_is_refused_until_it_is_enabled(mint: Callable[..., IssuedKey]) -> None:
    issued = mint()
    assert disable_key(issued.key)
    with pytest.raises(InvalidKey):
        verify_key(issued.secret.reveal())
    assert enable_key(issued.key)
    assert verify_key(issued.secret.reveal()).key == issued.key


def test_switching_a_key_twice_is_no_error(mint: Callable[..., IssuedKey]) -> None:
    key = mint().key
    assert not enable_key(key)
    assert disable_key(key)
    assert not disable_key(key)
    assert not APIKey.objects.get().enabled


def test_switching_a_key_goes_by_the_row_and_not_by_a_stale_instance(
    mint: Callable[..., IssuedKey],
) -> None:
    key = mint().key
    stale = APIKey.objects.get()
    disable_key(key)
    assert not disable_key(stale)
    assert not stale.enabled


def test_nothing_brings_a_revoked_key_back(mint: Callable[..., IssuedKey]) -> None:
    key = mint(now=NOW).key
    disable_key(key, now=NOW)
    revoke_key(key, now=NOW)
    assert not enable_key(key, now=NOW + DAY)
    assert not disable_key(key, now=NOW + DAY)
    key = APIKey.objects.get()
    assert (key.revoked_at, key.state(NOW)) == (NOW, KeyState.REVOKED)


@pytest.mark.parametrize("how", ["pk", "preview", "digest"])
def test_a_key_is_found_by_its_id_its_start_or_its_digest(
    mint: Callable[..., IssuedKey], how: str
) -> None:
    key, _ = mint().key, mint()
    assert find_key(str(getattr(key, how))) == key


@pytest.mark.parametrize(
    "reference", ["", "0", "-1", "x", "pka_00000000", "9" * 18, "9" * 19, "٣", "0" * 64]
)
def test_what_names_no_key_is_repeated_with_the_way_to_find_it(
    mint: Callable[..., IssuedKey], reference: str
) -> None:
    mint()
    with pytest.raises(KeyNotFound, match="list_keys shows them all") as refusal:
        find_key(reference)
    assert repr(reference) in str(refusal.value)


def test_a_start_is_exact_on_every_database(mint: Callable[..., IssuedKey]) -> None:
    key = mint().key
    for reference in (key.preview.upper(), f"{key.preview} ", key.digest.upper(), f"0{key.pk}"):
        with pytest.raises(KeyNotFound):
            find_key(reference)


def test_an_ambiguous_preview_comes_with_the_ids(service_user: ServiceUser) -> None:
    keys = [
        import_key(service_user, digest=digit * 64, preview="sk_live", now=NOW) for digit in "ab"
    ]
    ids = ", ".join(str(key.pk) for key in keys)
    with pytest.raises(KeyNotFound, match=rf"ambiguous: name one by its id \({ids}\)"):
        find_key("sk_live")


def test_a_start_that_is_another_keys_id_is_ambiguous(
    service_user: ServiceUser, mint: Callable[..., IssuedKey]
) -> None:
    key = mint().key
    import_key(service_user, digest="a" * 64, preview=str(key.pk), now=NOW)
    with pytest.raises(KeyNotFound, match="ambiguous"):
        find_key(str(key.pk))


def test_a_pasted_secret_is_not_repeated(mint: Callable[..., IssuedKey]) -> None:
    secret = mint().secret.reveal()
    with pytest.raises(KeyNotFound, match="consider rotating it") as refusal:
        find_key(secret)
    assert secret[12:] not in str(refusal.value)


@pytest.mark.parametrize("reference", ["a\0b", "\n", "nonsense", "9" * 32])
def test_what_can_name_no_key_is_not_found(db: None, reference: str) -> None:
    with pytest.raises(KeyNotFound, match="list_keys shows them all"):
        find_key(reference)


def test_a_renamed_key_is_the_same_key(mint: Callable[..., IssuedKey]) -> None:
    issued = mint(name="old")
    assert rename_key(issued.key, "new")
    assert (issued.key.name, APIKey.objects.get().name) == ("new", "new")
    verify_key(issued.secret.reveal())
    assert AuditEvent.objects.get(action="key_renamed").details == {"before": "old"}


def test_renaming_to_the_same_name_is_no_event(mint: Callable[..., IssuedKey]) -> None:
    assert not rename_key(mint(name="old").key, "old")
    assert not AuditEvent.objects.filter(action="key_renamed").exists()


def test_a_name_that_can_not_be_is_refused(mint: Callable[..., IssuedKey]) -> None:
    key = mint(name="old").key
    with pytest.raises(InvalidInput, match=r"at most 200|can't be seen"):
        rename_key(key, "two\nlines")
    assert (key.name, APIKey.objects.get().name) == ("old", "old")


def test_a_dead_key_can_be_deleted_and_its_trail_stays(mint: Callable[..., IssuedKey]) -> None:
    revoked, expired = mint().key, mint(lifetime=DAY, now=NOW - 2 * DAY).key
    revoke_key(revoked, now=NOW)
    for key in (revoked, expired):
        delete_key(key, now=NOW)
    assert not APIKey.objects.exists()
    assert AuditEvent.objects.filter(action="key_minted").count() == 2
    told = [event.subject for event in AuditEvent.objects.filter(action="key_deleted")]
    assert told == [f"{key} of sandbox-runtime" for key in (revoked, expired)]


def test_a_live_key_can_not_be_deleted(mint: Callable[..., IssuedKey]) -> None:
    key = mint().key
    disable_key(key)
    with pytest.raises(InvalidInput, match="is still alive: revoke it first"):
        delete_key(key)
    assert APIKey.objects.exists()
    assert not AuditEvent.objects.filter(action="key_deleted").exists()
