"""Rotating keys: the successor, the end of the old key, and what a rotation never gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import (
    InvalidInput,
    InvalidKey,
    KeyNotLive,
    LimitExceeded,
    UnknownServiceUser,
)
from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    disable_key,
    mint_key,
    mint_or_rotate,
    revoke_key,
    rotate_key,
    verify_key,
)
from pikku_auth.models import APIKey, KeyState, ServiceUser
from tests.cases import in_turn
from tests.profiles import fewer

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

INHERITED = [
    "service_user",
    "name",
    "permissions",
    "metadata",
    "networks",
    "rate",
    "remaining",
    "refill",
    "refilled_at",
]


def row(key: APIKey) -> dict[str, Any]:
    return dict(APIKey.objects.filter(pk=key.pk).values().get())


def deactivate_django_user(key: APIKey) -> None:
    get_user_model()._default_manager.update(is_active=False)


def delete_django_user(key: APIKey) -> None:
    get_user_model()._default_manager.all().delete()


KILLED: dict[str, Callable[[APIKey], object]] = {
    "revoked": lambda key: revoke_key(key, now=NOW),
    "disabled": lambda key: disable_key(key, now=NOW),
    "rotated": lambda key: rotate_key(key, overlap=DAY, now=NOW),
    "rotated at once": lambda key: rotate_key(key, overlap=None, now=NOW),
    "service user inactive": lambda key: deactivate_service_user(key.service_user, now=NOW),
    "django user inactive": deactivate_django_user,
    "django user deleted": delete_django_user,
}


def test_a_successor_has_another_secret_and_everything_else_as_it_was(
    mint: Callable[..., IssuedKey],
) -> None:
    old = mint(
        name="ci",
        scopes=["sandbox:read"],
        lifetime=30 * DAY,
        metadata={"sandbox_id": "sbx_42"},
        networks=["192.0.2.0/24"],
        rate=Rate(100, HOUR),
        quota=5,
        refill=Rate(50, DAY),
        now=NOW,
    )
    new = rotate_key(old.key, overlap=HOUR, now=NOW + DAY)
    assert new.secret.reveal() != old.secret.reveal()
    assert new.key.digest == new.secret.digest
    assert new.key.preview == new.secret.preview
    assert new.key.rotated_from == old.key
    assert new.key.created_at == NOW + DAY
    assert [getattr(new.key, name) for name in INHERITED] == [
        getattr(old.key, name) for name in INHERITED
    ]


@pytest.mark.parametrize("lifetime", [30 * DAY, None])
def test_a_successor_gets_the_lifetime_that_the_old_key_began_with(
    mint: Callable[..., IssuedKey], lifetime: timedelta | None
) -> None:
    key = mint(lifetime=lifetime, now=NOW).key
    expires_at = rotate_key(key, overlap=HOUR, now=NOW + DAY).key.expires_at
    assert expires_at == (None if lifetime is None else NOW + DAY + lifetime)


def test_a_successor_says_who_made_it(
    mint: Callable[..., IssuedKey], make_user: Callable[..., Any]
) -> None:
    ada = make_user("ada")
    assert (
        rotate_key(mint().key, overlap=HOUR, context=AuditContext(actor=ada)).key.created_by == ada
    )


def test_a_successor_begins_with_fresh_eyes(mint: Callable[..., IssuedKey]) -> None:
    old = mint(rate=Rate(100, HOUR), now=NOW)
    verify_key(old.secret.reveal(), now=NOW)
    new = APIKey.objects.get(pk=rotate_key(old.key, overlap=HOUR, now=NOW).key.pk)
    assert (new.last_used_at, new.window_calls, new.rotated_at, new.revoked_at) == (
        None,
        0,
        None,
        None,
    )


def test_a_successor_has_what_is_left_of_the_quota(mint: Callable[..., IssuedKey]) -> None:
    old = mint(quota=3)
    verify_key(old.secret.reveal())
    assert rotate_key(old.key, overlap=HOUR).key.remaining == 2


def test_a_successor_goes_on_with_the_refills_of_the_old_key(
    mint: Callable[..., IssuedKey],
) -> None:
    old = mint(quota=1, refill=Rate(1, DAY), now=NOW)
    refilled = NOW + DAY
    verify_key(old.secret.reveal(), now=refilled)
    new = rotate_key(old.key, overlap=HOUR, now=refilled)
    with pytest.raises(LimitExceeded):
        verify_key(new.secret.reveal(), now=refilled + DAY - MICROSECOND)
    assert verify_key(new.secret.reveal(), now=refilled + DAY).key == new.key


def test_rotating_a_used_up_key_gives_no_calls_back(mint: Callable[..., IssuedKey]) -> None:
    old = mint(quota=1, now=NOW)
    verify_key(old.secret.reveal(), now=NOW)
    assert rotate_key(old.key, overlap=HOUR, now=NOW).key.state(NOW) == KeyState.EXHAUSTED


def test_both_keys_work_during_the_overlap_and_only_the_new_one_after(
    mint: Callable[..., IssuedKey],
) -> None:
    old = mint(now=NOW)
    new = rotate_key(old.key, overlap=HOUR, now=NOW)
    last = NOW + HOUR - MICROSECOND
    assert verify_key(old.secret.reveal(), now=last).key == old.key
    assert verify_key(new.secret.reveal(), now=last).key == new.key
    with pytest.raises(InvalidKey):
        verify_key(old.secret.reveal(), now=NOW + HOUR)
    assert verify_key(new.secret.reveal(), now=NOW + HOUR).key == new.key


@pytest.mark.parametrize(
    ("lifetime", "overlap", "remaining"),
    [(None, HOUR, HOUR), (DAY, HOUR, HOUR), (DAY, DAY, DAY), (DAY, 2 * DAY, DAY)],
)
def test_an_overlap_never_prolongs_the_old_key(
    mint: Callable[..., IssuedKey],
    lifetime: timedelta | None,
    overlap: timedelta,
    remaining: timedelta,
) -> None:
    key = mint(lifetime=lifetime, now=NOW).key
    rotate_key(key, overlap=overlap, now=NOW)
    assert key.expires_at == NOW + remaining


def test_an_overlap_is_a_day_unless_said_otherwise(
    service_user: ServiceUser, mint: Callable[..., IssuedKey]
) -> None:
    first, second = mint(now=NOW).key, mint(name="ci", now=NOW).key
    rotate_key(first, now=NOW)
    mint_or_rotate(service_user, name="ci", now=NOW)
    second.refresh_from_db()
    assert (first.expires_at, second.expires_at) == (NOW + DAY, NOW + DAY)


def test_without_an_overlap_the_old_key_is_revoked_at_once(mint: Callable[..., IssuedKey]) -> None:
    old = mint(now=NOW)
    new = rotate_key(old.key, overlap=None, now=NOW)
    assert (old.key.revoked_at, old.key.revoke_reason) == (NOW, "rotated")
    assert old.key.state(NOW) == KeyState.REVOKED
    assert verify_key(new.secret.reveal(), now=NOW).key == new.key


@pytest.mark.parametrize("overlap", [timedelta(0), -HOUR, timedelta(days=36_501)])
def test_an_overlap_that_is_no_duration_is_refused_and_nothing_changes(
    mint: Callable[..., IssuedKey], overlap: timedelta
) -> None:
    key = mint().key
    before = row(key)
    with pytest.raises(InvalidInput) as refusal:
        rotate_key(key, overlap=overlap)
    assert refusal.value.field == "overlap"
    assert row(key) == before
    assert APIKey.objects.get() == key


@pytest.mark.parametrize(("kill", "overlap"), in_turn([*KILLED.values()], [HOUR, None]), ids=KILLED)
def test_a_dead_key_cannot_be_rotated_and_nothing_is_made(
    mint: Callable[..., IssuedKey], kill: Callable[[APIKey], object], overlap: timedelta | None
) -> None:
    key = mint(now=NOW).key
    kill(key)
    before, keys = row(key), APIKey.objects.count()
    with pytest.raises(KeyNotLive) as refusal:
        rotate_key(key, overlap=overlap, now=NOW + HOUR)
    assert refusal.value.field == "key"
    assert row(key) == before
    assert APIKey.objects.count() == keys


def test_rotated_key_that_is_dead_names_its_successor(mint: Callable[..., IssuedKey]) -> None:
    old = mint(now=NOW).key
    successor = rotate_key(old, overlap=None, now=NOW).key
    with pytest.raises(KeyNotLive, match=f"was rotated already: its successor is {successor}"):
        rotate_key(APIKey.objects.get(pk=old.pk), overlap=HOUR, now=NOW + HOUR)


def test_a_key_can_be_rotated_until_the_microsecond_it_expires(
    mint: Callable[..., IssuedKey],
) -> None:
    key = mint(lifetime=DAY, now=NOW).key
    with pytest.raises(KeyNotLive, match="expired, and only a live key"):
        rotate_key(key, overlap=HOUR, now=NOW + DAY)
    assert APIKey.objects.count() == 1
    assert rotate_key(key, overlap=HOUR, now=NOW + DAY - MICROSECOND).key.rotated_from == key


def test_a_stale_instance_does_not_bring_a_key_back(mint: Callable[..., IssuedKey]) -> None:
    key = mint().key
    stale = APIKey.objects.get(pk=key.pk)
    revoke_key(key)
    with pytest.raises(KeyNotLive, match="revoked, and only a live key"):
        rotate_key(stale, overlap=HOUR)
    assert APIKey.objects.get() == key


def test_a_key_has_one_successor_and_the_refusal_names_it(mint: Callable[..., IssuedKey]) -> None:
    key = mint(now=NOW).key
    successor = rotate_key(key, overlap=DAY, now=NOW).key
    with pytest.raises(KeyNotLive, match=f"its successor is {successor}"):
        rotate_key(key, overlap=DAY, now=NOW)


def test_a_successor_can_be_rotated_in_turn(mint: Callable[..., IssuedKey]) -> None:
    first = mint(name="ci").key
    second = rotate_key(first, overlap=DAY).key
    third = rotate_key(second, overlap=DAY).key
    assert (third.rotated_from, second.rotated_from) == (second, first)
    assert third.name == "ci"


LIFETIMES = st.none() | st.timedeltas(2 * MICROSECOND, timedelta(days=36_500))


@fewer(40)
@given(
    lifetime=LIFETIMES,
    cap=LIFETIMES,
    overlap=st.none() | st.timedeltas(MICROSECOND, timedelta(days=36_500)),
    scopes=st.sets(st.sampled_from(["sandbox:read", "sandbox:*", "*", "perm:*"])),
    age=st.floats(0, 0.9),
)
def test_a_rotation_never_gives_more_rights_nor_a_longer_life(
    mint: Callable[..., IssuedKey],
    lifetime: timedelta | None,
    cap: timedelta | None,
    overlap: timedelta | None,
    scopes: set[str],
    age: float,
) -> None:
    old = mint(lifetime=lifetime, scopes=scopes, now=NOW).key
    now = NOW + age * (lifetime or DAY)
    with override_settings(PIKKU_AUTH={"MAX_KEY_LIFETIME": cap}):
        new = rotate_key(old, overlap=overlap, now=now).key
    forever = timedelta.max
    life = forever if new.expires_at is None else new.expires_at - now
    assert life <= min(lifetime or forever, cap or forever)
    assert new.permissions == old.permissions
    end_of_old = old.revoked_at or old.expires_at
    assert end_of_old is not None
    assert end_of_old <= now + (overlap or timedelta(0))
    assert lifetime is None or end_of_old <= NOW + lifetime


def test_a_deployment_mints_first_and_rotates_from_then_on(service_user: ServiceUser) -> None:
    first = mint_or_rotate("sandbox-runtime", name="ci", overlap=HOUR, scopes=["sandbox:read"])
    again = mint_or_rotate("sandbox-runtime", name="ci", overlap=HOUR, scopes=["sandbox:read"])
    third = mint_or_rotate(service_user, name="ci", overlap=None)
    assert first.key.rotated_from is None
    assert again.key.rotated_from == first.key
    assert third.key.rotated_from == again.key
    assert third.key.scopes == ["sandbox:read"]


@pytest.mark.parametrize("name", ["CI", "ci ", "çi", ""])
def test_only_a_key_of_exactly_that_name_is_rotated(
    service_user: ServiceUser, mint: Callable[..., IssuedKey], name: str
) -> None:
    mint(name="ci")
    assert mint_or_rotate(service_user, name=name, overlap=HOUR).key.rotated_from is None


def test_only_a_key_of_that_service_user_is_rotated(mint: Callable[..., IssuedKey]) -> None:
    mint(name="ci")
    builder = create_service_user("builder")
    assert mint_or_rotate(builder, name="ci", overlap=HOUR).key.rotated_from is None


@pytest.mark.parametrize("state", ["revoked", "disabled"])
def test_a_dead_key_of_that_name_is_left_alone(
    service_user: ServiceUser, mint: Callable[..., IssuedKey], state: str
) -> None:
    KILLED[state](mint(name="ci").key)
    assert mint_or_rotate(service_user, name="ci", overlap=HOUR).key.rotated_from is None


def test_among_several_live_keys_of_a_name_the_operator_must_choose(
    service_user: ServiceUser, mint: Callable[..., IssuedKey]
) -> None:
    ids = ", ".join(str(mint(name="ci").key.pk) for _ in range(2))
    with pytest.raises(InvalidInput, match=rf"2 live keys named 'ci'.*\({ids}\)") as refusal:
        mint_or_rotate(service_user, name="ci", overlap=HOUR)
    assert refusal.value.field == "name"
    assert APIKey.objects.count() == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("scopes", ["sandbox:write"]),
        ("metadata", {"sandbox_id": "sbx_43"}),
        ("networks", ["198.51.100.0/24"]),
        ("rate", Rate(101, HOUR)),
        ("rate", Rate(100, DAY)),
        ("lifetime", 31 * DAY),
        ("lifetime", None),
    ],
)
def test_a_rotation_changes_nothing_of_what_a_key_may_do(
    service_user: ServiceUser, mint: Callable[..., IssuedKey], option: str, value: Any
) -> None:
    same: dict[str, Any] = {
        "scopes": ["sandbox:read"],
        "metadata": {"sandbox_id": "sbx_42"},
        "networks": ["192.0.2.0/24"],
        "rate": Rate(100, HOUR),
        "lifetime": 30 * DAY,
    }
    key = mint(name="ci", **same).key
    with pytest.raises(InvalidInput, match=f"has other {option}") as refusal:
        mint_or_rotate(service_user, name="ci", overlap=HOUR, **{**same, option: value})
    assert refusal.value.field == option
    assert APIKey.objects.get() == key
    assert mint_or_rotate(service_user, name="ci", overlap=HOUR, **same).key.rotated_from == key


def test_repeating_a_deployment_does_not_fill_a_quota_up(service_user: ServiceUser) -> None:
    options: dict[str, Any] = {"name": "ci", "overlap": HOUR, "quota": 5, "refill": Rate(5, DAY)}
    verify_key(mint_or_rotate(service_user, **options).secret.reveal())
    assert mint_or_rotate(service_user, **options).key.remaining == 4


def test_another_refill_is_a_change(service_user: ServiceUser) -> None:
    options: dict[str, Any] = {"name": "ci", "overlap": HOUR, "quota": 5}
    mint_or_rotate(service_user, refill=Rate(5, DAY), **options)
    with pytest.raises(InvalidInput, match="has other refill"):
        mint_or_rotate(service_user, refill=Rate(6, DAY), **options)


def test_a_first_key_obeys_the_rules_of_minting(service_user: ServiceUser) -> None:
    with pytest.raises(InvalidInput) as refusal:
        mint_or_rotate(service_user, overlap=HOUR, scopes=["nonsense"])
    assert refusal.value.field == "scopes"
    with pytest.raises(UnknownServiceUser):
        mint_or_rotate("nobody", overlap=HOUR)


def test_a_lowered_cap_shortens_the_next_successor(
    settings: Settings, service_user: ServiceUser
) -> None:
    key = mint_key(service_user, lifetime=None, now=NOW).key
    settings.PIKKU_AUTH = {"MAX_KEY_LIFETIME": 30 * DAY}
    assert rotate_key(key, overlap=HOUR, now=NOW).key.expires_at == NOW + 30 * DAY


def test_a_successor_has_what_is_left_of_the_quota_now(mint: Callable[..., IssuedKey]) -> None:
    issued = mint(quota=5)
    stale = APIKey.objects.get()
    verify_key(issued.secret.reveal())
    assert rotate_key(stale).key.remaining == 4
