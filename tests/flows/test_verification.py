"""Which keys are good, what a refusal says, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from pikku_auth import signals
from pikku_auth.exceptions import (
    InsufficientScope,
    InvalidKey,
    NetworkNotAllowed,
    Refused,
    Unavailable,
)
from pikku_auth.flows import (
    IssuedKey,
    deactivate_service_user,
    disable_key,
    enable_key,
    import_key,
    last_used,
    revoke_key,
    rotate_key,
    verify_key,
)
from pikku_auth.models import APIKey, ServiceUser
from tests.conftest import IN_KEY_HEADER, pikku_settings

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def verify(issued: IssuedKey, **options: Any) -> Any:
    return verify_key(issued.secret.reveal(), **options)


def revoked(issued: IssuedKey) -> None:
    revoke_key(issued.key)


def expired(issued: IssuedKey) -> None:
    APIKey.objects.filter(pk=issued.key.pk).update(expires_at=NOON - timedelta(days=1))


def disabled(issued: IssuedKey) -> None:
    disable_key(issued.key)


def rotated_after_a_leak(issued: IssuedKey) -> None:
    rotate_key(issued.key, overlap=None)


def service_user_deactivated(issued: IssuedKey) -> None:
    deactivate_service_user(issued.key.service_user)


def user_inactive(issued: IssuedKey) -> None:
    user = issued.key.service_user.user
    user.is_active = False
    user.save()


def user_made_superuser(issued: IssuedKey) -> None:
    user = issued.key.service_user.user
    user.is_superuser = True
    user.save()


def user_deleted(issued: IssuedKey) -> None:
    issued.key.service_user.user.delete()


def row_deleted(issued: IssuedKey) -> None:
    APIKey.objects.filter(pk=issued.key.pk).delete()


DEATHS = [
    revoked,
    expired,
    disabled,
    rotated_after_a_leak,
    service_user_deactivated,
    user_inactive,
    user_made_superuser,
    user_deleted,
    row_deleted,
]


def test_a_live_key_gives_a_principal(mint: Mint, service_user: ServiceUser) -> None:
    issued = mint(scopes=["sandbox:read"], metadata={"sandbox_id": "sbx_42"})
    principal = verify(issued)
    assert principal.user == service_user.user
    assert principal.via == "api_key"
    assert principal.key == issued.key
    assert principal.service_user == service_user
    assert principal.permissions == {"sandbox": ("read",)}
    assert principal.metadata == {"sandbox_id": "sbx_42"}
    assert principal.expires_at == issued.key.expires_at


def test_a_principal_has_only_the_scopes_it_was_minted_with(mint: Mint) -> None:
    principal = verify(mint(scopes=["sandbox:read"]))
    assert principal.has_scope("sandbox:read")
    assert not principal.has_scope("sandbox:write")
    assert not principal.has_scope("sandbox:read", "sandbox:write")


def test_a_key_without_permissions_allows_nothing(mint: Mint) -> None:
    assert not verify(mint()).has_scope("sandbox:read")


def test_asking_for_no_scope_at_all_is_a_mistake(mint: Mint) -> None:
    with pytest.raises(ValueError, match="at least one"):
        verify(mint()).has_scope()


@pytest.mark.parametrize("death", DEATHS)
def test_a_dead_key_is_refused(mint: Mint, death: Callable[[IssuedKey], None]) -> None:
    issued = mint()
    death(issued)
    with pytest.raises(InvalidKey):
        verify(issued)


@pytest.mark.parametrize("death", DEATHS)
def test_every_refusal_of_a_bad_key_reads_the_same(
    mint: Mint, death: Callable[[IssuedKey], None]
) -> None:
    issued = mint()
    death(issued)
    with pytest.raises(InvalidKey) as dead:
        verify(issued)
    with pytest.raises(InvalidKey) as malformed:
        verify_key("nonsense")
    assert str(dead.value) == str(malformed.value) == "Invalid API key."


@pytest.mark.parametrize(
    ("microseconds", "alive"), [(-1, True), (0, False), (1, False)], ids=["before", "at", "after"]
)
def test_a_key_ends_at_the_instant_it_expires(mint: Mint, microseconds: int, alive: bool) -> None:
    issued = mint(lifetime=timedelta(hours=1), now=NOON)
    moment = NOON + timedelta(hours=1, microseconds=microseconds)
    if alive:
        assert verify(issued, now=moment)
    else:
        with pytest.raises(InvalidKey) as refusal:
            verify(issued, now=moment)
        assert refusal.value.reason == "expired"


def test_a_disabled_key_works_again_once_enabled(mint: Mint) -> None:
    issued = mint()
    disable_key(issued.key)
    enable_key(issued.key)
    assert verify(issued)


def test_several_keys_are_good_side_by_side(mint: Mint) -> None:
    first, second = mint(), mint()
    assert verify(first).key != verify(second).key


def test_both_keys_are_good_while_a_rotation_overlaps_and_then_the_new_one(mint: Mint) -> None:
    old = mint(now=NOON)
    new = rotate_key(old.key, overlap=timedelta(hours=1), now=NOON)
    assert verify(old, now=NOON + timedelta(minutes=59))
    assert verify(new, now=NOON + timedelta(minutes=59))
    with pytest.raises(InvalidKey):
        verify(old, now=NOON + timedelta(hours=1))
    assert verify(new, now=NOON + timedelta(hours=1))


def test_keys_that_differ_in_case_only_each_find_themselves(service_user: ServiceUser) -> None:
    from hashlib import sha256

    with pikku_settings(IMPORTED_KEYS=IN_KEY_HEADER):
        for text in ("foreign-key-AbC", "foreign-key-aBc"):
            digest = sha256(text.encode()).hexdigest()
            import_key(service_user, digest=digest, preview=text[:8], name=text)
        assert verify_key("foreign-key-AbC").key.name == "foreign-key-AbC"
        assert verify_key("foreign-key-aBc").key.name == "foreign-key-aBc"


def test_an_imported_key_works_only_while_foreign_keys_are_accepted(
    service_user: ServiceUser,
) -> None:
    digest = "9c1185a5c5e9fc54612808977ee8f548b2258d31b7b8d8a5a4b4b4b4b4b4b4b4"
    import_key(service_user, digest=digest, preview="sk_live")
    with pytest.raises(InvalidKey) as refusal:
        verify_key("sk_live_something")
    assert refusal.value.reason == "malformed"


class TestNetworks:
    """Where a key may be used from."""

    @pytest.mark.parametrize(
        ("address", "allowed"),
        [
            ("192.0.2.7", True),
            ("::ffff:192.0.2.7", True),
            ("2001:db8::1", True),
            ("198.51.100.1", False),
            ("2001:db9::1", False),
            ("", False),
            (None, False),
        ],
    )
    def test_only_an_address_inside_the_networks_may_use_the_key(
        self, mint: Mint, address: str | None, allowed: bool
    ) -> None:
        issued = mint(networks=["192.0.2.0/24", "2001:db8::/32"])
        if allowed:
            assert verify(issued, ip=address)
        else:
            with pytest.raises(NetworkNotAllowed):
                verify(issued, ip=address)

    def test_a_key_without_networks_may_be_used_from_anywhere(self, mint: Mint) -> None:
        assert verify(mint(), ip=None)

    def test_a_dead_key_says_nothing_of_its_networks(self, mint: Mint) -> None:
        issued = mint(networks=["192.0.2.0/24"])
        revoke_key(issued.key)
        with pytest.raises(InvalidKey):
            verify(issued, ip="198.51.100.1")


def test_missing_scopes_are_named(mint: Mint) -> None:
    issued = mint(scopes=["sandbox:read"])
    with pytest.raises(InsufficientScope) as refusal:
        verify(issued, scopes=["sandbox:read", "sandbox:write"])
    assert refusal.value.missing == ["sandbox:write"]
    assert str(refusal.value) == "Missing scope: sandbox:write."


class TestCost:
    """One SELECT, no write."""

    def test_a_good_key_costs_one_select(
        self, mint: Mint, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        issued = mint(scopes=["sandbox:read"])
        verify(issued)
        with django_assert_num_queries(1) as queries:
            verify(issued, scopes=["sandbox:read"])
        assert queries.captured_queries[0]["sql"].startswith("SELECT")

    def test_reading_the_principal_costs_nothing_more(
        self, mint: Mint, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        principal = verify(mint())
        with django_assert_num_queries(0):
            assert principal.service_user.name == "sandbox-runtime"
            assert principal.user.is_active

    def test_an_unknown_key_costs_one_select(
        self, mint: Mint, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        issued = mint()
        row_deleted(issued)
        with django_assert_num_queries(1), pytest.raises(InvalidKey):
            verify(issued)

    @pytest.mark.parametrize("text", ["", "x", "pka_", "pka_" + "0" * 49, "k" * 8192, "é", "\0"])
    def test_a_malformed_key_costs_no_sql(
        self, text: str, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with django_assert_num_queries(0), pytest.raises(InvalidKey):
            verify_key(text)

    @pytest.mark.parametrize("limit", [{"quota": 5}, {"networks": ["192.0.2.0/24"]}])
    def test_only_a_counted_call_is_written(
        self, mint: Mint, limit: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        issued = mint(**limit)
        verify(issued, ip="192.0.2.1")
        with django_assert_num_queries(2 if "quota" in limit else 1):
            verify(issued, ip="192.0.2.1")


@given(text=st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
@pytest.mark.parametrize("imported_keys", [None, IN_KEY_HEADER])
def test_no_text_is_more_than_an_invalid_key(imported_keys: Any, text: str) -> None:
    with (
        pikku_settings(IMPORTED_KEYS=imported_keys),
        pytest.raises(InvalidKey),
    ):
        verify_key(text)


class TestRecord:
    """What a refusal tells the operator, and nobody else."""

    def test_the_reason_goes_to_the_log(self, mint: Mint, caplog: pytest.LogCaptureFixture) -> None:
        issued = mint(name="ci")
        revoke_key(issued.key)
        with pytest.raises(InvalidKey):
            verify(issued, ip="192.0.2.1")
        record = next(r for r in caplog.records if r.name == "pikku_auth")
        assert record.levelname == "WARNING"
        assert record.getMessage() == f"API key refused: revoked ({issued.key}, from 192.0.2.1)"

    def test_the_reason_goes_to_the_signal(self, mint: Mint) -> None:
        issued, heard = mint(), []

        def hear(sender: object, **payload: Any) -> None:
            heard.append((payload["key"], payload["reason"], payload["ip"]))

        revoke_key(issued.key)
        signals.key_refused.connect(hear)
        try:
            with pytest.raises(InvalidKey):
                verify(issued, ip="192.0.2.1")
            with pytest.raises(InvalidKey):
                verify_key("nonsense", ip="192.0.2.2")
        finally:
            signals.key_refused.disconnect(hear)
        assert heard == [(issued.key, "revoked", "192.0.2.1"), (None, "malformed", "192.0.2.2")]

    def test_a_receiver_that_raises_changes_nothing(self) -> None:
        def raising(sender: object, **_payload: Any) -> None:
            raise RuntimeError("not now")

        signals.key_refused.connect(raising)
        try:
            with pytest.raises(InvalidKey):
                verify_key("nonsense")
        finally:
            signals.key_refused.disconnect(raising)


class Outage:
    """Lets the first ``after`` statements through, then loses the database."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.left == 0:
            raise OperationalError("server closed the connection unexpectedly")
        self.left -= 1
        return execute(sql, params, many, context)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0, 1])
def test_an_outage_is_not_a_bad_key(mint: Mint, after: int) -> None:
    issued = mint(quota=5)
    with connection.execute_wrapper(Outage(after)), pytest.raises(Unavailable) as refusal:
        verify(issued)
    assert isinstance(refusal.value, Refused)
    assert refusal.value.status == 503
    assert refusal.value.retry_after == 5


@pytest.mark.django_db(transaction=True)
def test_losing_last_used_at_does_not_lose_the_request(
    mint: Mint, caplog: pytest.LogCaptureFixture
) -> None:
    issued = mint()
    with connection.execute_wrapper(Outage(1)):
        assert verify(issued)
    assert "last_used_at of 1 rows was not written" in caplog.text


class TestLastUsed:
    """When ``last_used_at`` is written."""

    def last_used(self, issued: IssuedKey) -> datetime | None:
        return APIKey.objects.get(pk=issued.key.pk).last_used_at

    def test_the_first_use_is_written(self, mint: Mint) -> None:
        issued = mint(now=NOON)
        verify(issued, now=NOON)
        assert self.last_used(issued) == NOON

    def test_it_is_written_once_a_minute(self, mint: Mint) -> None:
        issued = mint(now=NOON)
        verify(issued, now=NOON)
        verify(issued, now=NOON + timedelta(seconds=59))
        assert self.last_used(issued) == NOON
        verify(issued, now=NOON + timedelta(seconds=60))
        assert self.last_used(issued) == NOON + timedelta(seconds=60)

    def test_it_never_goes_back(self, mint: Mint) -> None:
        issued = mint(now=NOON)
        stale = APIKey.objects.get(pk=issued.key.pk)
        verify(issued, now=NOON + timedelta(minutes=5))
        last_used.note(stale, NOON, None)
        last_used.flush()
        assert self.last_used(issued) == NOON + timedelta(minutes=5)

    def test_a_refused_key_was_not_used(self, mint: Mint) -> None:
        issued = mint(networks=["192.0.2.0/24"])
        with pytest.raises(NetworkNotAllowed):
            verify(issued, ip="198.51.100.1")
        last_used.flush()
        assert self.last_used(issued) is None

    def test_what_is_noted_is_bounded(self, mint: Mint, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(last_used, "_MOST_NOTED", 1)
        first, second = mint(), mint()
        last_used.note(first.key, NOON, None)
        last_used.note(second.key, NOON, None)
        last_used.flush()
        assert self.last_used(first) == NOON
        assert self.last_used(second) is None

    def test_where_it_was_used_from_is_written_with_it(self, mint: Mint) -> None:
        issued = mint(now=NOON)
        verify(issued, now=NOON, ip="192.0.2.7")
        last_used.flush()
        assert APIKey.objects.get().last_used_ip == "192.0.2.7"
