"""``POST revoke`` (RFC 7009): whoever has a credential can end it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from pytest_django import Settings

from pikku_auth.core.limits import Rate
from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import InvalidKey
from pikku_auth.flows import (
    IssuedKey,
    deactivate_service_user,
    disable_key,
    import_key,
    revocation,
    revoke_key,
    verify_key,
)
from pikku_auth.flows.keys.delegate import mint_child
from pikku_auth.flows.keys.verify import principal_of_key
from pikku_auth.models import APIKey, Attempts, AuditEvent, LoginSession, ServiceUser
from pikku_auth.testing import key_headers
from tests.conftest import IN_KEY_HEADER, pikku_settings
from tests.logins import bearer, browser_of, logged_in

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"


def revoke(token: str, client: Client | None = None, **options: Any) -> Any:
    body = urlencode({"token": token, **options.pop("form", {})})
    return (client or Client()).post("/auth/revoke", body, FORM, **options)


def was_taken(answer: Any) -> bool:
    return (answer.status_code, answer.json(), answer["Cache-Control"]) == (200, {}, "no-store")


def test_login_ends_by_its_token(make_user: Callable[..., Any]) -> None:
    issued, other = logged_in(make_user("ada")), logged_in(make_user("grace"))
    assert was_taken(revoke(issued.token.reveal()))
    assert Client().get("/auth/whoami", headers=bearer(issued)).status_code == 401
    assert Client().get("/auth/whoami", headers=bearer(other)).status_code == 200
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.source) == (AuditEvent.Action.LOGIN_REVOKED, "web")
    assert event.actor == issued.login.user
    assert event.details == {"reason": "revoked by its holder"}


def test_key_ends_by_its_secret(mint: Callable[..., IssuedKey]) -> None:
    issued, other = mint(), mint()
    assert was_taken(revoke(issued.secret.reveal(), headers={"User-Agent": "curl"}))
    with pytest.raises(InvalidKey):
        verify_key(issued.secret.reveal())
    assert verify_key(other.secret.reveal())
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.source) == (AuditEvent.Action.KEY_REVOKED, "web")
    assert (event.actor, event.actor_name) == (issued.key.service_user.user, "sandbox-runtime")
    assert (event.ip, event.user_agent) == ("127.0.0.1", "curl")


def test_children_end_with_their_parent(mint: Callable[..., IssuedKey]) -> None:
    parent = mint(scopes=["auth:mint"])
    child = mint_child(principal_of_key(parent.key), "sandbox-runtime")
    revoke(parent.secret.reveal())
    with pytest.raises(InvalidKey):
        verify_key(child.secret.reveal())


def test_child_ends_alone(mint: Callable[..., IssuedKey]) -> None:
    parent = mint(scopes=["auth:mint"])
    child = mint_child(principal_of_key(parent.key), "sandbox-runtime")
    revoke(child.secret.reveal())
    assert verify_key(parent.secret.reveal())


def of_a_deleted_user(issued: IssuedKey) -> None:
    user: Any = issued.key.service_user.user
    user.delete()


@pytest.mark.parametrize(
    "before",
    [
        lambda issued: disable_key(issued.key),
        lambda issued: deactivate_service_user(issued.key.service_user),
        lambda issued: APIKey.objects.update(networks=["192.0.2.0/24"], remaining=0),
        lambda issued: APIKey.objects.update(expires_at=issued.key.created_at),
        of_a_deleted_user,
    ],
)
def test_key_that_is_refused_for_now_ends_too(
    mint: Callable[..., IssuedKey], before: Callable[[IssuedKey], Any]
) -> None:
    issued = mint()
    before(issued)
    assert was_taken(revoke(issued.secret.reveal()))
    assert APIKey.objects.get().revoked_at is not None


def test_login_that_is_refused_for_now_ends_too(make_user: Callable[..., Any]) -> None:
    ada = make_user("ada")
    issued = logged_in(ada)
    ada.is_active = False
    ada.save()
    assert was_taken(revoke(issued.token.reveal()))
    assert LoginSession.objects.get().revoked_at is not None


def test_imported_key_ends(service_user: ServiceUser) -> None:
    import_key(service_user, digest=sha256(b"foreign").hexdigest(), preview="for")
    with pikku_settings(IMPORTED_KEYS=IN_KEY_HEADER):
        assert was_taken(revoke("foreign"))
    assert APIKey.objects.get().revoked_at is not None


def test_dead_one_is_taken_again_and_nothing_happens(mint: Callable[..., IssuedKey]) -> None:
    issued = mint()
    revoke_key(issued.key, reason="leaked")
    events = AuditEvent.objects.count()
    assert was_taken(revoke(issued.secret.reveal()))
    assert APIKey.objects.get().revoke_reason == "leaked"
    assert AuditEvent.objects.count() == events


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_hint_is_taken_and_decides_nothing(mint: Callable[..., IssuedKey], hint: str) -> None:
    form = {"token_type_hint": hint, "client_id": "anything"}
    assert was_taken(revoke(mint().secret.reveal(), form=form))
    assert APIKey.objects.get().revoked_at is not None


@pytest.mark.parametrize("token", ["nonsense", "pka_", "pks_bad", "x" * 300, "\x00", "ü", "*", "1"])
def test_what_is_no_credential_is_taken(token: str) -> None:
    assert was_taken(revoke(token))
    assert not Attempts.objects.exists()


def test_nothing_but_the_credential_itself_can_be_named(
    mint: Callable[..., IssuedKey], make_user: Callable[..., Any]
) -> None:
    key, login = mint().key, logged_in(make_user("ada")).login
    for row in (key, login):
        for name in (str(row.pk), row.preview, row.digest):
            assert was_taken(revoke(name))
            assert was_taken(revoke("x", form={"id": name, "keyId": name, "digest": name}))
    assert not APIKey.objects.filter(revoked_at__isnull=False).exists()
    assert not LoginSession.objects.filter(revoked_at__isnull=False).exists()


def test_what_else_is_presented_stays_good(
    mint: Callable[..., IssuedKey], make_user: Callable[..., Any]
) -> None:
    ended, other, ada = mint(), mint(), make_user("ada")
    login = logged_in(ada)
    assert was_taken(revoke(ended.secret.reveal(), headers={**key_headers(other), **bearer(login)}))
    assert verify_key(other.secret.reveal())
    assert Client().get("/auth/whoami", headers=bearer(login)).status_code == 200


def test_session_of_the_browser_is_not_the_actor(
    mint: Callable[..., IssuedKey], make_user: Callable[..., Any]
) -> None:
    issued = mint()
    own = {"Origin": "http://testserver"}
    assert was_taken(revoke(issued.secret.reveal(), browser_of(make_user("ada")), headers=own))
    assert AuditEvent.objects.latest("pk").actor == issued.key.service_user.user


@pytest.mark.parametrize(
    ("body", "content_type", "wrong"),
    [
        ("", FORM, "token is required"),
        ("token=", FORM, "token is required"),
        ("token=a&token=b", FORM, "token must not be repeated"),
        ('{"token": "a"}', "application/json", f"Send a form, as {FORM}"),
    ],
)
def test_malformed_request_is_told_what_is_wrong(body: str, content_type: str, wrong: str) -> None:
    answer = Client().post("/auth/revoke", body, content_type)
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_request", "error_description": wrong}


def test_network_that_guesses_is_slowed_down(
    mint: Callable[..., IssuedKey], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(revocation, "WRONG_TOKENS", Rate(2, timedelta(minutes=10)))
    issued = mint()
    for prefix in ("pka", "pks"):
        assert was_taken(revoke(generate(prefix).reveal(), REMOTE_ADDR="192.0.2.7"))
    answer = revoke(generate("pka").reveal(), REMOTE_ADDR="192.0.2.7")
    assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
    assert int(answer["Retry-After"]) > 0
    assert was_taken(revoke(generate("pka").reveal(), REMOTE_ADDR="192.0.2.8"))
    assert was_taken(revoke("nonsense", REMOTE_ADDR="192.0.2.7"))
    assert was_taken(revoke(issued.secret.reveal(), REMOTE_ADDR="192.0.2.7"))
    assert APIKey.objects.get().revoked_at is not None


def test_callers_without_an_address_share_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "WRONG_TOKENS", Rate(1, timedelta(minutes=10)))
    for address in ("127.0.0.1", ""):
        for _ in range(3):
            assert was_taken(revoke(generate("pka").reveal(), REMOTE_ADDR=address))
