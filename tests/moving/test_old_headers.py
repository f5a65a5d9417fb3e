"""``IMPORTED_KEYS``: who is let in by a header of another package, and who is left to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256, sha512
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.utils import timezone
from freezegun import freeze_time
from pytest_django import DjangoAssertNumQueries, Settings

from pikku_auth.exceptions import HTTPSRequired, InvalidKey, InvalidToken, Refused
from pikku_auth.flows import (
    aauthenticate,
    authenticate,
    averify_key,
    delete_key,
    disable_key,
    import_key,
    last_used,
    live_logins,
    mint_key,
    prune,
    revalidate,
    revoke_key,
    revoke_login,
    verify_key,
)
from pikku_auth.flows.credentials import credential_of, find_credential, has_credential
from pikku_auth.flows.leak_lookup import digests_of, find_leaked
from pikku_auth.models import APIKey, ImportedCredential, LoginSession, ServiceUser
from tests.conftest import IN_KEY_HEADER, pikku_settings
from tests.logins import BACKEND
from tests.moving.test_import_keys import import_from

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("imported_keys")]

Make = Callable[..., str]
SECRET = "of-another-system"


def request_with(**headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers=headers)


def token_request(secret: str) -> HttpRequest:
    return request_with(authorization=f"Token {secret}")


@pytest.fixture
def key(service_user: ServiceUser) -> APIKey:
    """A key that was imported by its SHA-512."""
    digest = sha512(SECRET.encode()).hexdigest()
    return import_key(service_user, digest=digest, preview=SECRET[:8], scopes=["sandbox:read"])


@pytest.fixture
def human(knox_token: Make) -> str:
    """The token of a human, which became a login."""
    token = knox_token("ada")
    import_from("knox")
    return token


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Token {SECRET}"},
        {"authorization": f"token  {SECRET} "},
        {"authorization": f"API-KEY {SECRET}"},
        {"x-old-key": SECRET},
    ],
)
def test_imported_key_is_in(key: APIKey, headers: dict[str, str]) -> None:
    principal = authenticate(request_with(**headers))
    assert principal is not None
    assert (principal.key, principal.user) == (key, key.service_user.user)
    assert principal.scopes == ["sandbox:read"]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {SECRET}"},
        {"authorization": SECRET},
        {"authorization": f"Token {SECRET} x"},
        {"authorization": f"Token {SECRET}x"},
        {"authorization": "Token"},
        {"authorization": "Token é"},
        {"authorization": "Token " + "x" * 129},
        {"x-other-key": SECRET},
        {"x-old-key": ""},
    ],
)
def test_what_is_not_imported_is_left_to_others(key: APIKey, headers: dict[str, str]) -> None:
    request = request_with(**headers)
    assert authenticate(request) is None
    assert async_to_sync(aauthenticate)(request_with(**headers)) is None
    assert not has_credential(request)


def test_login_is_in_as_its_human(human: str) -> None:
    principal = authenticate(token_request(human))
    assert principal is not None
    assert principal.login is not None
    assert principal.user.get_username().startswith("ada")


@pytest.mark.parametrize("prepare", [revoke_key, disable_key])
def test_dead_key_is_refused_and_nothing_else_is_asked(
    key: APIKey, prepare: Callable[[APIKey], object]
) -> None:
    prepare(key)
    request = token_request(SECRET)
    for _ in range(2):
        with pytest.raises(InvalidKey):
            authenticate(request)
    with pytest.raises(InvalidKey):
        async_to_sync(aauthenticate)(token_request(SECRET))


def test_key_that_was_deleted_is_dead(key: APIKey) -> None:
    revoke_key(key)
    delete_key(key)
    with pytest.raises(InvalidKey) as refusal:
        authenticate(token_request(SECRET))
    assert refusal.value.reason == "deleted"
    assert str(ImportedCredential.objects.get()) == ": -"


def test_key_that_was_pruned_is_dead(key: APIKey) -> None:
    revoke_key(key, now=timezone.now() - timedelta(days=2))
    day = timedelta(days=1)
    assert prune(keys_older_than=day, events_older_than=day).keys == 1
    with pytest.raises(InvalidKey):
        authenticate(token_request(SECRET))


def test_dead_login_is_refused(human: str) -> None:
    revoke_login(LoginSession.objects.get())
    with pytest.raises(InvalidToken):
        authenticate(token_request(human))


def test_login_of_a_human_who_may_not_log_in_is_refused(human: str) -> None:
    with (
        pikku_settings(LOGIN_SCOPES="tests.moving.test_import_keys.nothing"),
        pytest.raises(InvalidToken) as refusal,
    ):
        authenticate(token_request(human))
    assert refusal.value.reason == "login_not_allowed"


def test_login_of_a_human_who_was_deleted_is_dead(human: str) -> None:
    get_user_model()._default_manager.all().delete()
    with pytest.raises(InvalidKey):
        authenticate(token_request(human))


def test_our_own_keys_are_not_taken_in_these_headers(service_user: ServiceUser) -> None:
    secret = mint_key(service_user).secret.reveal()
    with pytest.raises(Refused):
        authenticate(token_request(secret))
    with pikku_settings(IMPORTED_KEYS={"headers": ["x-old-key"], "until": None}):
        assert authenticate(request_with(**{"x-old-key": secret})) is None


@pytest.mark.parametrize(
    ("until", "is_over"),
    [
        (None, False),
        (date(2026, 12, 1), False),
        (date(2026, 11, 30), True),
        (datetime(2026, 12, 1, 12, tzinfo=UTC), True),
        (datetime(2026, 12, 1, 12, 0, 1, tzinfo=UTC), False),
    ],
)
def test_nothing_is_looked_up_any_more_once_it_is_over(
    key: APIKey, until: Any, is_over: bool
) -> None:
    APIKey.objects.update(expires_at=None)
    with (
        freeze_time("2026-12-01 12:00:00"),
        pikku_settings(IMPORTED_KEYS={"headers": ["Authorization: Token"], "until": until}),
    ):
        assert (authenticate(token_request(SECRET)) is None) is is_over


class TestCost:
    """One SELECT; none without the setting."""

    def test_each_costs_one_select(
        self, key: APIKey, human: str, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for secret in (SECRET, human, "unknown"):
            with django_assert_num_queries(1):
                authenticate(token_request(secret))

    def test_unknown_one_is_looked_up_once_a_request(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        request = token_request("unknown")
        with django_assert_num_queries(1):
            assert authenticate(request) is None
            assert authenticate(request) is None

    @pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-old-key"])
    def test_nothing_is_looked_up_without_the_setting(
        self, key: APIKey, django_assert_num_queries: DjangoAssertNumQueries, header: str
    ) -> None:
        text = f"Token {SECRET}" if header == "authorization" else SECRET
        with pikku_settings(IMPORTED_KEYS=None), django_assert_num_queries(0):
            request = request_with(**{header: text})
            if header == "x-api-key":
                with pytest.raises(InvalidKey):
                    authenticate(request)
            else:
                assert authenticate(request) is None
                assert not has_credential(request)
            with pytest.raises(InvalidKey):
                verify_key(SECRET)


class TestConverted:
    """The SHA-256 takes the place of the SHA-512, after the first response."""

    def test_key_is(self, key: APIKey) -> None:
        assert key.digest == f"sha512:{sha512(SECRET.encode()).hexdigest()}"[:64]
        authenticate(token_request(SECRET))
        key.refresh_from_db()
        assert key.digest.startswith("sha512:")
        last_used.flush()
        key.refresh_from_db()
        assert key.digest == sha256(SECRET.encode()).hexdigest()
        assert key.last_used_at is not None
        assert authenticate(token_request(SECRET)) is not None

    def test_login_is(self, human: str) -> None:
        authenticate(token_request(human))
        last_used.flush()
        assert LoginSession.objects.get().digest == sha256(human.encode()).hexdigest()
        assert authenticate(token_request(human)) is not None

    def test_not_when_it_is_refused(self, key: APIKey) -> None:
        revoke_key(key)
        with pytest.raises(InvalidKey):
            authenticate(token_request(SECRET))
        last_used.flush()
        key.refresh_from_db()
        assert key.digest.startswith("sha512:")

    def test_as_many_as_are_used_are_remembered(
        self, key: APIKey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(last_used, "_MOST_NOTED", 0)
        assert authenticate(token_request(SECRET)) is not None
        last_used.flush()
        key.refresh_from_db()
        assert key.digest.startswith("sha512:")

    def test_open_connection_goes_on(self, key: APIKey, human: str) -> None:
        for secret in (SECRET, human):
            request = token_request(secret)
            principal = authenticate(request)
            assert principal is not None
            assert revalidate(principal, request)
            last_used.flush()
            again = revalidate(principal, request)
            assert again.user == principal.user
        revoke_key(key)
        revoke_login(LoginSession.objects.get())
        for secret in (SECRET, human):
            with pytest.raises(Refused):
                authenticate(token_request(secret))

    def test_open_connection_ends_with_the_row(self, human: str) -> None:
        request = token_request(human)
        principal = authenticate(request)
        assert principal is not None
        LoginSession.objects.all().delete()
        with pytest.raises(InvalidToken):
            revalidate(principal, request)

    def test_hex_of_a_digest_opens_nothing(self, key: APIKey) -> None:
        stored = sha512(SECRET.encode()).hexdigest()
        for text in (stored, key.digest):
            assert authenticate(token_request(text)) is None
            with pytest.raises(InvalidKey):
                verify_key(text)


def test_login_ends_when_it_was_going_to(human: str) -> None:
    login = LoginSession.objects.get()
    now = login.expires_at - timedelta(seconds=1)
    assert authenticate(token_request(human), now=now) is not None
    last_used.flush()
    end = login.expires_at
    login.refresh_from_db()
    assert login.expires_at == end
    assert live_logins(login.user, now=now) == [login]
    with pytest.raises(InvalidToken):
        authenticate(token_request(human), now=end)


class TestKeyHeader:
    """Imported keys in the header of our own."""

    @pytest.fixture(autouse=True)
    def _in_key_header(self, settings: Settings, imported_keys: None) -> None:
        settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "IMPORTED_KEYS": IN_KEY_HEADER}

    def test_imported_key_is_in(self, key: APIKey) -> None:
        principal = authenticate(request_with(**{"x-api-key": SECRET}))
        assert principal is not None
        assert principal.key == key

    def test_unknown_one_is_refused(self, key: APIKey) -> None:
        with pytest.raises(InvalidKey) as refusal:
            authenticate(request_with(**{"x-api-key": "unknown"}))
        assert refusal.value.reason == "unknown"

    def test_other_headers_are_not_looked_at(self, key: APIKey) -> None:
        assert find_credential(token_request(SECRET)) is None


class TestHTTPS:
    """Where credentials have to come over it."""

    @pytest.fixture(autouse=True)
    def _https(self, settings: Settings, imported_keys: None) -> None:
        settings.PIKKU_AUTH = {**settings.PIKKU_AUTH, "REQUIRE_HTTPS": True}

    def test_imported_one_is_refused_without(self, key: APIKey, human: str) -> None:
        for secret in (SECRET, human):
            with pytest.raises(HTTPSRequired):
                authenticate(token_request(secret))

    def test_unknown_one_is_left_to_others(self, key: APIKey) -> None:
        assert authenticate(token_request("unknown")) is None


class TestOutsideOfARequest:
    """``verify_key``, leaks, and what RFC 7009 and 7662 are asked."""

    def test_key_is_good(self, key: APIKey) -> None:
        assert verify_key(SECRET, scopes=["sandbox:read"]).key == key
        assert async_to_sync(averify_key)(SECRET).key == key

    def test_login_is_no_key(self, human: str) -> None:
        with pytest.raises(InvalidKey) as refusal:
            verify_key(human)
        assert refusal.value.reason == "no_key"

    def test_deleted_key_is_dead(self, key: APIKey) -> None:
        revoke_key(key)
        delete_key(key)
        with pytest.raises(InvalidKey) as refusal:
            verify_key(SECRET)
        assert refusal.value.reason == "deleted"

    def test_leak_is_found_by_its_secret(self, key: APIKey, human: str) -> None:
        assert find_leaked(digests_of(SECRET)) == key
        assert find_leaked(digests_of(human)) == LoginSession.objects.get()
        assert find_leaked(digests_of("unknown")) is None

    def test_credential_is_of_its_kind(self, key: APIKey, human: str) -> None:
        assert credential_of(SECRET)[:2] == ("key", key.digest)
        assert credential_of(human)[:2] == ("token", LoginSession.objects.get().digest)
        assert credential_of("unknown")[:2] == ("key", sha256(b"unknown").hexdigest())


class TestPages:
    """Pages for browsers, and the endpoints of logins."""

    def test_imported_credential_opens_no_page_for_browsers(
        self, key: APIKey, make_user: Callable[..., Any], settings: Settings
    ) -> None:
        ours = "pikku_auth.middleware.PikkuAuthMiddleware"
        settings.MIDDLEWARE = [*(name for name in settings.MIDDLEWARE if name != ours), ours]
        staff = make_user("boss", is_staff=True, is_superuser=True)
        browser = Client()
        browser.force_login(staff, BACKEND)
        assert (
            browser.get("/admin/", headers={"authorization": f"Token {SECRET}"}).status_code == 403
        )
        unknown = {"authorization": "Token unknown"}
        assert browser.get("/admin/", headers=unknown).status_code == 200

    def test_imported_key_sees_no_logins(self, key: APIKey) -> None:
        answer = Client().get("/auth/list-sessions", headers={"authorization": f"Token {SECRET}"})
        assert answer.status_code == 401

    def test_answer_varies_by_each_header(self) -> None:
        answer = Client().get("/auth/whoami")
        assert answer["Vary"].split(", ")[:3] == ["x-api-key", "Authorization", "X-Old-Key"]

    def test_challenge_is_that_of_any_refusal(self, key: APIKey) -> None:
        revoke_key(key)
        answer = Client().get("/auth/whoami", headers={"authorization": f"Token {SECRET}"})
        assert answer.status_code == 401
        assert "ApiKey" in answer["WWW-Authenticate"]


def test_now_is_that_of_the_caller(key: APIKey) -> None:
    assert key.expires_at is not None
    with pytest.raises(InvalidKey):
        authenticate(token_request(SECRET), now=key.expires_at)
    assert timezone.now() < key.expires_at
