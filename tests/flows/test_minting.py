"""Minting and importing keys: what a key may be given, field by field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from pytest_django import Settings

from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import InsufficientScope, InvalidInput, InvalidKey, UnknownServiceUser
from pikku_auth.flows import (
    AuditContext,
    IssuedKey,
    deactivate_service_user,
    import_key,
    mint_key,
    verify_key,
)
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.conftest import IN_KEY_HEADER

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FOREIGN = "sk_live_0123456789abcdef"
DIGEST = sha256(FOREIGN.encode()).hexdigest()


def test_a_minted_key_verifies(mint: Callable[..., IssuedKey]) -> None:
    issued = mint(scopes=["sandbox:read"])
    assert verify_key(issued.secret.reveal(), scopes=["sandbox:read"]).key == issued.key


def test_only_the_digest_and_the_start_of_a_secret_are_kept(mint: Callable[..., IssuedKey]) -> None:
    issued = mint()
    secret = issued.secret.reveal()
    assert issued.key.digest == sha256(secret.encode()).hexdigest()
    assert issued.key.preview == secret[:12]


def test_an_issued_key_does_not_show_its_secret(mint: Callable[..., IssuedKey]) -> None:
    issued = mint()
    assert issued.secret.reveal() not in f"{issued} {issued!r}"


def test_the_prefix_is_the_hosts(settings: Settings, mint: Callable[..., IssuedKey]) -> None:
    settings.PIKKU_AUTH = {"PREFIXES": {"key": "acme"}}
    issued = mint()
    assert issued.secret.reveal().startswith("acme_")
    assert verify_key(issued.secret.reveal()).key == issued.key


def test_each_minting_makes_another_key(mint: Callable[..., IssuedKey]) -> None:
    first, second = mint(name="ci"), mint(name="ci")
    assert first.secret.reveal() != second.secret.reveal()
    assert APIKey.objects.count() == 2


def test_everything_that_was_given_is_kept(
    service_user: ServiceUser, make_user: Callable[..., Any]
) -> None:
    ada = make_user("ada")
    made = mint_key(
        service_user,
        name="ci",
        scopes={"sandbox": ["write", "read"]},
        lifetime=2 * DAY,
        metadata={"sandbox_id": "sbx_42"},
        networks=["192.0.2.7", "2001:db8::/32"],
        rate=Rate(100, timedelta(minutes=1)),
        quota=5,
        refill=Rate(50, DAY),
        context=AuditContext(actor=ada),
        now=NOW,
    )
    key = APIKey.objects.get(pk=made.key.pk)
    assert (key.service_user, key.name, key.created_at, key.created_by) == (
        service_user,
        "ci",
        NOW,
        ada,
    )
    assert key.permissions == {"sandbox": ["read", "write"]}
    assert key.expires_at == NOW + 2 * DAY
    assert key.metadata == {"sandbox_id": "sbx_42"}
    assert key.networks == ["192.0.2.7/32", "2001:db8::/32"]
    assert (key.rate, key.remaining, key.refill) == (
        Rate(100, timedelta(minutes=1)),
        5,
        Rate(50, DAY),
    )


def test_a_key_with_nothing_given_may_do_nothing_and_has_no_limits(
    mint: Callable[..., IssuedKey],
) -> None:
    issued = mint()
    key = APIKey.objects.get(pk=issued.key.pk)
    assert (key.permissions, key.metadata, key.networks) == ({}, {}, [])
    assert (key.rate, key.remaining, key.refill) == (None, None, None)
    with pytest.raises(InsufficientScope):
        verify_key(issued.secret.reveal(), scopes=["sandbox:read"])


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        ("name", {"name": "x" * 201}, "at most 200 characters"),
        ("name", {"name": "two\nlines"}, "can.t be seen"),
        ("scopes", {"scopes": ["sandbox"]}, "write resource:action"),
        ("scopes", {"scopes": "sandbox:read"}, "as a list"),
        ("scopes", {"scopes": {"sandbox": "read"}}, "as a list"),
        ("lifetime", {"lifetime": timedelta(0)}, "longer than zero"),
        ("lifetime", {"lifetime": -DAY}, "longer than zero"),
        ("lifetime", {"lifetime": timedelta(days=36_501)}, "at most a century"),
        ("metadata", {"metadata": ["sbx_42"]}, "must be a JSON object"),
        ("metadata", {"metadata": {"a": float("nan")}}, "not a JSON value"),
        ("metadata", {"metadata": {"a": "\0"}}, "NUL"),
        ("metadata", {"metadata": {"a": "\ud800"}}, "can't be stored"),
        ("metadata", {"metadata": {"a'b": 1}}, "a member named"),
        ("metadata", {"metadata": {"a": "x" * 4096}}, "at most 4096 bytes"),
        ("metadata", {"metadata": {"a": [[[[[1]]]]]}}, "at most 5 deep"),
        ("networks", {"networks": ["192.0.2.0/33"]}, "is not a network"),
        ("networks", {"networks": ["192.0.2.1/24"]}, "did you mean 192.0.2.0/24"),
        ("quota", {"quota": 0}, "from 1 to 2147483647"),
        ("quota", {"quota": 2_147_483_648}, "from 1 to 2147483647"),
        ("refill", {"refill": Rate(5, DAY)}, "needs a quota"),
    ],
)
def test_a_value_that_breaks_its_rule_names_its_field_and_nothing_is_made(
    mint: Callable[..., IssuedKey], field: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as refusal:
        mint(**options)
    assert refusal.value.field == field
    assert not APIKey.objects.exists()


def test_a_key_lives_90_days_unless_said_otherwise(
    settings: Settings, mint: Callable[..., IssuedKey]
) -> None:
    settings.PIKKU_AUTH = {}
    assert mint(now=NOW).key.expires_at == NOW + 90 * DAY


@pytest.mark.parametrize("lifetime", [timedelta(microseconds=1), timedelta(days=36_500), None])
def test_any_positive_lifetime_can_be_had(
    mint: Callable[..., IssuedKey], lifetime: timedelta | None
) -> None:
    expires_at = mint(lifetime=lifetime, now=NOW).key.expires_at
    assert expires_at == (None if lifetime is None else NOW + lifetime)


@pytest.mark.parametrize(
    ("default", "cap", "lifetime"),
    [
        (7 * DAY, None, 7 * DAY),
        (None, None, None),
        (7 * DAY, 30 * DAY, 7 * DAY),
        (90 * DAY, 30 * DAY, 30 * DAY),
        (None, 30 * DAY, 30 * DAY),
    ],
)
def test_the_default_lifetime_is_the_hosts_and_never_beyond_its_cap(
    settings: Settings,
    mint: Callable[..., IssuedKey],
    default: timedelta | None,
    cap: timedelta | None,
    lifetime: timedelta | None,
) -> None:
    settings.PIKKU_AUTH = {"DEFAULT_KEY_LIFETIME": default, "MAX_KEY_LIFETIME": cap}
    expires_at = mint(now=NOW).key.expires_at
    assert expires_at == (None if lifetime is None else NOW + lifetime)


def test_a_lifetime_up_to_the_cap_can_be_had(
    settings: Settings, mint: Callable[..., IssuedKey]
) -> None:
    settings.PIKKU_AUTH = {"MAX_KEY_LIFETIME": 30 * DAY}
    assert mint(lifetime=30 * DAY, now=NOW).key.expires_at == NOW + 30 * DAY


@pytest.mark.parametrize("lifetime", [30 * DAY + timedelta(microseconds=1), None])
def test_a_lifetime_beyond_the_cap_is_refused(
    settings: Settings, mint: Callable[..., IssuedKey], lifetime: timedelta | None
) -> None:
    settings.PIKKU_AUTH = {"MAX_KEY_LIFETIME": 30 * DAY}
    with pytest.raises(InvalidInput, match="at most 30d here") as refusal:
        mint(lifetime=lifetime)
    assert refusal.value.field == "lifetime"


@pytest.mark.parametrize(
    "scope", ["sandbox:read", "sandbox:*", "*", "perm:shop.view_order", "perm:*"]
)
def test_a_declared_scope_can_be_granted(mint: Callable[..., IssuedKey], scope: str) -> None:
    assert mint(scopes=[scope]).key.scopes == [scope]


@pytest.mark.parametrize(
    ("scope", "hint"),
    [
        ("sandbox:reed", "did you mean sandbox:read"),
        ("sandbox:zap", "did you mean sandbox:"),
        ("zzz:*", "did you mean sandbox:read or sandbox:write"),
    ],
)
def test_a_scope_that_the_host_has_not_declared_is_refused_with_the_nearest(
    mint: Callable[..., IssuedKey], scope: str, hint: str
) -> None:
    with pytest.raises(InvalidInput, match=hint) as refusal:
        mint(scopes=[scope])
    assert refusal.value.field == "scopes"
    assert not APIKey.objects.exists()


def test_without_a_vocabulary_any_scope_can_be_granted(
    settings: Settings, mint: Callable[..., IssuedKey]
) -> None:
    settings.PIKKU_AUTH = {"SCOPES": None}
    assert mint(scopes=["ship:sail"]).key.scopes == ["ship:sail"]


def test_the_owner_can_be_named(service_user: ServiceUser) -> None:
    assert mint_key("sandbox-runtime").key.service_user == service_user


def test_a_human_cannot_own_a_key(make_user: Callable[..., Any]) -> None:
    make_user("ada")
    with pytest.raises(UnknownServiceUser):
        mint_key("ada")


def test_an_inactive_service_user_gets_no_key(service_user: ServiceUser) -> None:
    deactivate_service_user(service_user)
    with pytest.raises(InvalidInput, match="activate it first") as refusal:
        mint_key(service_user)
    assert refusal.value.field == "service_user"
    assert not APIKey.objects.exists()


@pytest.mark.parametrize(
    ("right", "value"), [("is_active", False), ("is_superuser", True), ("is_staff", True)]
)
def test_a_service_user_whose_user_may_not_act_gets_no_key(
    service_user: ServiceUser, right: str, value: bool
) -> None:
    user: Any = service_user.user
    setattr(user, right, value)
    user.save()
    with pytest.raises(InvalidInput, match="neither staff nor a superuser"):
        mint_key("sandbox-runtime")


def test_an_imported_key_works_while_foreign_keys_are_accepted(
    settings: Settings, service_user: ServiceUser
) -> None:
    key = import_key(
        "sandbox-runtime", digest=DIGEST, preview="sk_live_0123", scopes=["sandbox:read"]
    )
    with pytest.raises(InvalidKey):
        verify_key(FOREIGN)
    settings.PIKKU_AUTH = {"IMPORTED_KEYS": IN_KEY_HEADER}
    assert verify_key(FOREIGN, scopes=["sandbox:read"]).key == key


def test_an_imported_key_obeys_the_rules_of_a_minted_one(service_user: ServiceUser) -> None:
    key = import_key(service_user, digest=DIGEST, preview="sk", name="old", now=NOW)
    assert (key.name, key.created_at, key.expires_at) == ("old", NOW, NOW + 90 * DAY)
    with pytest.raises(InvalidInput) as refusal:
        import_key(service_user, digest="0" * 64, preview="sk", scopes=["nonsense"])
    assert refusal.value.field == "scopes"


@pytest.mark.parametrize(
    "digest", ["", "0" * 63, "0" * 65, "0" * 127, "A" * 64, "g" * 64, "0" * 64 + "\n"]
)
def test_a_malformed_digest_is_refused(service_user: ServiceUser, digest: str) -> None:
    with pytest.raises(InvalidInput, match="64 lower-case hex") as refusal:
        import_key(service_user, digest=digest, preview="sk")
    assert refusal.value.field == "digest"


@pytest.mark.parametrize("preview", ["", "x" * 33, "a\nb"])
def test_a_malformed_preview_is_refused(service_user: ServiceUser, preview: str) -> None:
    with pytest.raises(InvalidInput, match=r"1 to 32|can't be seen|at most 32") as refusal:
        import_key(service_user, digest=DIGEST, preview=preview)
    assert refusal.value.field == "preview"


def test_longest_preview_is_taken_and_the_import_is_recorded(service_user: ServiceUser) -> None:
    key = import_key(service_user, digest=DIGEST, preview="x" * 32)
    event = AuditEvent.objects.get(action="key_imported")
    assert (event.key, event.subject) == (key, f"{key} of {service_user}")


def test_a_key_is_imported_once(service_user: ServiceUser) -> None:
    key = import_key(service_user, digest=DIGEST, preview="sk")
    with pytest.raises(InvalidInput, match=f"here already, with the id {key.pk}") as refusal:
        import_key(service_user, digest=DIGEST, preview="other")
    assert refusal.value.field == "digest"
    assert APIKey.objects.get().preview == "sk"


def test_an_inactive_service_user_imports_no_key(service_user: ServiceUser) -> None:
    deactivate_service_user(service_user)
    with pytest.raises(InvalidInput, match="inactive"):
        import_key(service_user, digest=DIGEST, preview="sk")
