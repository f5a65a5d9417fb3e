"""What a program gets for a value of the wrong type: words, and nothing is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pikku_auth.core.limits import Rate
from pikku_auth.exceptions import InvalidInput, InvalidKey, KeyNotFound
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    describe_service_user,
    find_key,
    get_service_user,
    import_key,
    mint_key,
    rename_key,
    revoke_key,
    rotate_key,
    set_service_user_scopes,
    verify_key,
)
from pikku_auth.models import APIKey, AuditEvent, ServiceUser

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
OTHER: Any = object()
DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None), ("name", 7), ("name", b"ci"),
        ("scopes", None), ("scopes", 7), ("scopes", [7]), ("scopes", [None]), ("scopes", {"a": 7}),
        ("lifetime", "30d"), ("lifetime", True), ("lifetime", OTHER), ("lifetime", float("nan")),
        ("lifetime", float("inf")), ("lifetime", 10**30), ("lifetime", 0), ("lifetime", -1),
        ("metadata", 7), ("metadata", ["a"]), ("metadata", {"a": OTHER}),
        ("networks", "192.0.2.0/24"), ("networks", 7), ("networks", [7]), ("networks", [None]),
        ("rate", "100/m"), ("rate", 100), ("quota", "5"), ("quota", True), ("quota", 1.5),
        ("refill", timedelta(days=1)),
    ],
)  # fmt: skip
def test_option_of_the_wrong_type_is_named_and_no_key_is_made(
    service_user: ServiceUser, field: str, value: Any
) -> None:
    options = {"quota": 5, field: value} if field == "refill" else {field: value}
    with pytest.raises(InvalidInput) as refused:
        mint_key(service_user, **options)
    assert refused.value.field == field
    assert not APIKey.objects.exists()


@pytest.mark.parametrize("owner", [None, 7, b"robot"])
def test_owner_of_the_wrong_type_is_named(owner: Any) -> None:
    for act in (
        mint_key,
        get_service_user,
        lambda owner: import_key(owner, digest=DIGEST, preview="a"),
    ):
        with pytest.raises(InvalidInput) as refused:
            act(owner)
        assert refused.value.field == "service_user"


@pytest.mark.parametrize(
    ("field", "act"),
    [
        ("name", lambda key: rename_key(key, OTHER)),
        ("reason", lambda key: revoke_key(key, reason=OTHER)),
        ("overlap", lambda key: rotate_key(key, overlap="1h")),
        ("description", lambda key: describe_service_user(key.service_user, OTHER)),
        ("scopes", lambda key: set_service_user_scopes(key.service_user, 7)),
        ("digest", lambda key: import_key(key.service_user, digest=OTHER, preview="a")),
        ("preview", lambda key: import_key(key.service_user, digest=DIGEST, preview=OTHER)),
        ("name", lambda _: create_service_user(OTHER)),
        ("description", lambda _: create_service_user("other", description=OTHER)),
        ("scopes", lambda _: create_service_user("other", scopes=7)),
    ],
)
def test_argument_of_the_wrong_type_is_named_and_nothing_is_done(
    mint: Mint, field: str, act: Callable[[APIKey], object]
) -> None:
    key = mint().key
    events = AuditEvent.objects.count()
    with pytest.raises(InvalidInput) as refused:
        act(key)
    assert refused.value.field == field
    assert AuditEvent.objects.count() == events
    assert (APIKey.objects.count(), ServiceUser.objects.count()) == (1, 1)


@pytest.mark.parametrize(("count", "period"), [("5", 60), (5, "1m"), (True, 60), (5, None)])
def test_rate_of_the_wrong_type_is_refused(count: Any, period: Any) -> None:
    with pytest.raises(ValueError, match=r"number in a rate|timedelta or as seconds"):
        Rate(count, period)


@pytest.mark.parametrize("secret", [None, 7, b"pka_"])
def test_credential_that_is_no_text_is_refused_as_a_bad_one(secret: Any) -> None:
    with pytest.raises(InvalidKey):
        verify_key(secret)


def test_durations_may_be_seconds(service_user: ServiceUser) -> None:
    issued = mint_key(service_user, lifetime=90, rate=Rate(5, 60))
    assert issued.key.expires_at == issued.key.created_at + timedelta(seconds=90)
    assert issued.key.rate == Rate(5, timedelta(minutes=1))
    rotate_key(issued.key, overlap=1.5)
    assert issued.key.expires_at < issued.key.created_at + timedelta(seconds=90)


def test_key_is_found_by_its_number(mint: Mint) -> None:
    key = mint().key
    assert find_key(key.pk) == key
    with pytest.raises(KeyNotFound):
        find_key(OTHER)
