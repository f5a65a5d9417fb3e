"""``manage.py import_keys``: what becomes of each credential, and what is said of it."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha512
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from knox.models import AuthToken
from pytest_django import Settings
from rest_framework.authtoken.models import Token
from rest_framework_api_key.models import APIKey as ForeignKey

from pikku_auth import signals
from pikku_auth.flows import create_service_user, delete_key, revoke_key, revoke_login
from pikku_auth.flows.moving.moves import FOR_EVER
from pikku_auth.models import APIKey, AuditEvent, ImportedCredential, LoginSession, ServiceUser
from tests.conftest import dump_of_tables, pikku_settings

pytestmark = pytest.mark.django_db

Make = Callable[..., str]


def import_from(source: str, *arguments: str) -> tuple[list[str], str]:
    """The lines of stdout, and stderr."""
    out, err = io.StringIO(), io.StringIO()
    call_command("import_keys", "--from", source, *arguments, stdout=out, stderr=err)
    return out.getvalue().splitlines(), err.getvalue()


def test_token_of_a_human_becomes_a_login(drf_token: Make) -> None:
    token = drf_token("ada")
    (line,), summary = import_from("authtoken")
    login = LoginSession.objects.get()
    assert login.user.get_username().startswith("ada")
    assert (login.digest, login.preview) == (sha256(token.encode()).hexdigest(), token[:8])
    assert login.client_id == "authtoken"
    assert line.startswith(f"imported: {token[:8]}…, a login of ada")
    assert summary.startswith("1 imported.")
    assert "Nothing that was imported works yet: set PIKKU_AUTH['IMPORTED_KEYS']" in summary


def test_nothing_is_said_of_the_setting_once_it_is_set(
    imported_keys: None, drf_token: Make
) -> None:
    drf_token()
    assert import_from("authtoken")[1] == "1 imported.\n"


def test_nothing_is_found(db: None) -> None:
    assert import_from("knox") == ([], import_from("knox")[1])
    assert import_from("knox")[1].startswith("Nothing was found.")


def test_dry_run_changes_nothing(drf_token: Make, knox_token: Make) -> None:
    drf_token("ada"), drf_token("bot"), knox_token("eve")
    before = dump_of_tables()
    bots = [token.user.get_username() for token in Token.objects.all()]
    (username,) = [name for name in bots if name.startswith("bot")]
    bot = ["--adopt", f"{username}=ci-bot", "--scope", "sandbox:read", "--dry-run"]
    lines, summary = import_from("authtoken", *bot)
    assert [line.partition(":")[0] for line in lines] == ["would be imported"] * 2
    assert summary.startswith("2 would be imported.")
    assert len(import_from("knox", "--dry-run")[0]) == 1
    assert dump_of_tables() == before


class TestEnds:
    """When what was imported is over."""

    NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("cap", "expiry", "end"),
        [
            (timedelta(days=30), None, timedelta(days=30)),
            (timedelta(days=30), timedelta(days=9), timedelta(days=9)),
            (timedelta(days=30), timedelta(days=90), timedelta(days=30)),
            (None, timedelta(days=90), timedelta(days=90)),
        ],
    )
    def test_login_ends_as_before_or_as_every_login(
        self, knox_token: Make, cap: Any, expiry: Any, end: timedelta
    ) -> None:
        now = timezone.now()
        knox_token(expiry=expiry)
        with pikku_settings(LOGIN_MAX_LIFETIME=cap):
            import_from("knox")
        assert abs(LoginSession.objects.get().expires_at - (now + end)) < timedelta(minutes=1)

    def test_login_may_live_for_ever(self, drf_token: Make) -> None:
        drf_token()
        with pikku_settings(LOGIN_MAX_LIFETIME=None):
            lines, _ = import_from("authtoken")
        assert LoginSession.objects.get().expires_at == FOR_EVER
        assert lines[0].endswith(", for ever")

    def test_key_ends_as_every_key_at_the_latest(
        self, foreign_key: Make, service_user: ServiceUser
    ) -> None:
        foreign_key()
        with pikku_settings(MAX_KEY_LIFETIME=timedelta(days=30)):
            import_from(*OF_NOBODY)
        end = timezone.now() + timedelta(days=30)
        expires_at = APIKey.objects.get().expires_at
        assert expires_at is not None
        assert abs(expires_at - end) < timedelta(minutes=1)


OF_NOBODY = [
    "djangorestframework-api-key",
    "--service",
    "sandbox-runtime",
    "--scope",
    "sandbox:read",
]


class TestBots:
    """Whose tokens become keys."""

    def test_token_of_a_bot_becomes_a_key_of_the_same_user(self, knox_token: Make) -> None:
        token = knox_token("bot", expiry=None)
        user = AuthToken.objects.get().user
        lines, _ = import_from(
            "knox", "--adopt", f"{user.get_username()}=ci-bot", "--scope", "sandbox:read"
        )
        key = APIKey.objects.get()
        assert (key.service_user.name, key.service_user.user) == ("ci-bot", user)
        assert (key.scopes, key.expires_at) == (["sandbox:read"], None)
        assert key.digest == f"sha512:{sha512(token.encode()).hexdigest()}"[:64]
        assert lines[0].endswith("a key of ci-bot, for ever")

    def test_bot_is_adopted_once(self, knox_token: Make) -> None:
        knox_token("bot")
        user = AuthToken.objects.get().user
        AuthToken.objects.create(user)
        bot = ["--adopt", f"{user.get_username()}=ci-bot", "--scope", "sandbox:read"]
        assert len(import_from("knox", *bot)[0]) == 2
        assert {key.service_user.name for key in APIKey.objects.all()} == {"ci-bot"}
        assert APIKey.objects.count() == 2

    def test_its_tokens_are_no_logins(self, drf_token: Make) -> None:
        drf_token("bot")
        create_service_user("ci-bot", user=Token.objects.get().user)
        (line,), _ = import_from("authtoken")
        assert line.endswith("its user belongs to a service user: add --adopt")

    def test_staff_is_no_bot(self, drf_token: Make) -> None:
        drf_token("boss", is_staff=True)
        username = Token.objects.get().user.get_username()
        (line,), _ = import_from(
            "authtoken", "--adopt", f"{username}=boss", "--scope", "sandbox:read"
        )
        assert line.startswith("skipped: ")
        assert "is staff or a superuser" in line
        assert not ServiceUser.objects.exists()

    def test_name_has_to_be_one(self, drf_token: Make) -> None:
        with pytest.raises(CommandError, match="There is no user 'bob'"):
            import_from("authtoken", "--adopt", "bob", "--scope", "sandbox:read")


class TestSkipped:
    """What goes on by way of the other package."""

    def test_inactive_user(self, drf_token: Make) -> None:
        drf_token(is_active=False)
        assert import_from("authtoken")[0][0].endswith(": its user is inactive")

    def test_human_who_may_not_log_in(self, drf_token: Make) -> None:
        drf_token()
        with pikku_settings(LOGIN_SCOPES="tests.moving.test_import_keys.nothing"):
            (line,), _ = import_from("authtoken")
        assert line.endswith(": LOGIN_SCOPES does not let its user log in")

    def test_expired(self, knox_token: Make) -> None:
        knox_token(expiry=-timedelta(seconds=1))
        assert import_from("knox")[0][0].endswith(": it has expired")

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"revoked": True}, "it is revoked"),
            ({"expiry_date": datetime(2026, 1, 1, tzinfo=UTC)}, "it has expired"),
            (
                {"hashed_key": "pbkdf2_sha256$1$a$b"},
                "only a slow hash of it is kept, until its next use there",
            ),
        ],
    )
    def test_key(
        self, foreign_key: Make, service_user: ServiceUser, fields: dict[str, Any], reason: str
    ) -> None:
        foreign_key("old")
        ForeignKey.objects.update(**fields)
        (line,), _ = import_from(*OF_NOBODY)
        assert line.endswith(f"(old): {reason}")
        assert not APIKey.objects.exists()


def nothing(_user: object) -> None:
    """As LOGIN_SCOPES: nobody may log in."""


class TestWrongly:
    """What has to be said, and isn't."""

    def test_scopes_of_bots(self, drf_token: Make) -> None:
        drf_token()
        username = Token.objects.get().user.get_username()
        with pytest.raises(CommandError, match="authtoken knows no scopes: say with --scope"):
            import_from("authtoken", "--adopt", username)

    def test_scopes_of_keys(self, service_user: ServiceUser) -> None:
        with pytest.raises(CommandError, match="api-key knows no scopes: say with --scope"):
            import_from(*OF_NOBODY[:3])

    @pytest.mark.parametrize(
        ("scope", "problem"), [("sandbox", "sandbox"), ("b:c", "Unknown scope 'b:c'")]
    )
    def test_scope(self, service_user: ServiceUser, scope: str, problem: str) -> None:
        with pytest.raises(CommandError, match=problem):
            import_from(*OF_NOBODY[:3], "--scope", scope)

    def test_whose_keys(self) -> None:
        with pytest.raises(CommandError, match="belong to nobody: say whose with --service"):
            import_from("djangorestframework-api-key", "--scope", "sandbox:read")

    def test_service_user_that_is_not_there(self) -> None:
        with pytest.raises(CommandError, match="There is no service user 'sandbox-runtime'"):
            import_from(*OF_NOBODY)

    def test_service_user_of_tokens(self) -> None:
        with pytest.raises(CommandError, match="belong to users: name the bots with --adopt"):
            import_from("knox", "--service", "sandbox-runtime")

    @pytest.mark.parametrize("model", ["shop.Token", "nonsense"])
    def test_model(self, model: str) -> None:
        with pytest.raises(CommandError, match="is no model of this project"):
            import_from("authtoken", "--model", model)

    def test_length(self, settings: Settings) -> None:
        settings.REST_KNOX = {"AUTH_TOKEN_CHARACTER_LENGTH": 128, "TOKEN_PREFIX": "x"}
        with pytest.raises(CommandError, match="makes tokens of 129 characters: no more than 128"):
            import_from("knox")

    def test_algorithm(self, settings: Settings) -> None:
        settings.REST_KNOX = {"SECURE_HASH_ALGORITHM": "hashlib.sha3_512"}
        with pytest.raises(CommandError, match="only SHA-256 and SHA-512 can be verified here"):
            import_from("knox")


class TestAgain:
    """A second run, and a run after one that was interrupted."""

    def test_nothing_is_imported_twice(self, drf_token: Make, knox_token: Make) -> None:
        drf_token("ada"), knox_token("eve")
        import_from("authtoken"), import_from("knox")
        before = dump_of_tables()
        (line,), summary = import_from("authtoken")
        assert line.startswith("here already: ")
        assert line.endswith(", not used since")
        assert summary.startswith("1 here already.")
        import_from("knox")
        assert dump_of_tables() == before

    def test_what_is_new_is_imported(self, drf_token: Make) -> None:
        drf_token("ada")
        import_from("authtoken")
        drf_token("eve")
        lines, _ = import_from("authtoken")
        assert sorted(line.partition(":")[0] for line in lines) == ["here already", "imported"]

    def test_use_is_told(self, drf_token: Make) -> None:
        drf_token()
        import_from("authtoken")
        LoginSession.objects.update(last_used_at=datetime(2026, 12, 1, 12, tzinfo=UTC))
        assert import_from("authtoken")[0][0].endswith(", last used 2026-12-01 12:00 UTC")

    @pytest.mark.django_db(transaction=True)
    def test_run_that_was_killed_is_gone_on_with(self, drf_token: Make) -> None:
        user = drf_token("user0") and Token.objects.get().user
        model = type(user)
        for number in range(1, 200):
            drf_token(f"user{number}")
        database = django_settings.DATABASES["default"]
        code = (
            "import django; from django.conf import settings; "
            f"settings.DATABASES['default']['NAME'] = {str(database['NAME'])!r}; django.setup(); "
            "from django.core.management import call_command; "
            "call_command('import_keys', '--from', 'authtoken')"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(5):
                assert process.stdout.readline().startswith("imported: ")
            process.kill()
        assert 5 <= LoginSession.objects.count() < 200
        import_from("authtoken")
        assert LoginSession.objects.count() == model.objects.count() == 200
        assert ImportedCredential.objects.count() == 200


class TestDead:
    """What is dead here, and alive in the other package, until it is retired there."""

    @pytest.fixture
    def key(self, foreign_key: Make, service_user: ServiceUser) -> APIKey:
        foreign_key("billing"), foreign_key("nightly")
        import_from(*OF_NOBODY)
        return APIKey.objects.get(name="billing")

    def test_it_is_listed(self, key: APIKey) -> None:
        revoke_key(key)
        lines, summary = import_from(*OF_NOBODY)
        assert f"dead here, and alive there: {key.preview}… (billing), a key of " in "".join(lines)
        assert "opens whatever still asks that package: --retire deletes it there" in summary

    def test_it_is_listed_when_it_was_deleted_here(self, key: APIKey) -> None:
        revoke_key(key)
        delete_key(key)
        lines, _ = import_from(*OF_NOBODY)
        assert any(line.startswith("dead here, and alive there: ") for line in lines)

    def test_it_is_listed_when_it_has_expired_here(self, key: APIKey) -> None:
        APIKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())
        lines, _ = import_from(*OF_NOBODY)
        assert any(line.startswith("dead here, and alive there: ") for line in lines)

    def test_it_is_not_listed_when_it_is_dead_there_too(self, key: APIKey) -> None:
        revoke_key(key)
        row = ForeignKey.objects.get(name="billing")
        row.revoked = True
        row.save()
        lines, _ = import_from(*OF_NOBODY)
        assert {line.partition(":")[0] for line in lines} == {"here already"}

    def test_dry_run_says_what_would_be_deleted(self, key: APIKey) -> None:
        revoke_key(key)
        before = dump_of_tables()
        (line,), _ = import_from(OF_NOBODY[0], "--retire", "--dry-run")
        assert line.startswith("would be deleted there: ")
        assert dump_of_tables() == before

    def test_it_is_deleted_there(self, key: APIKey) -> None:
        revoke_key(key)
        (line,), _ = import_from(OF_NOBODY[0], "--retire")
        assert line.startswith("deleted there: ")
        assert ForeignKey.objects.get().name == "nightly"
        assert ImportedCredential.objects.get(key=key).retired_at is not None
        event = AuditEvent.objects.latest("pk")
        assert (event.action, event.key) == ("retired", key)
        assert event.subject == f"djangorestframework-api-key: {key.preview}…"
        assert import_from(OF_NOBODY[0], "--retire")[0] == []

    def test_all_that_was_imported_is_deleted_there(self, key: APIKey, foreign_key: Make) -> None:
        foreign_key("new")
        assert len(import_from(OF_NOBODY[0], "--retire", "all")[0]) == 2
        assert ForeignKey.objects.get().name == "new"

    def test_login_is_retired_too(self, knox_token: Make) -> None:
        knox_token("ada"), knox_token("eve")
        import_from("knox")
        login = LoginSession.objects.first()
        assert login is not None
        assert import_from("knox", "--retire")[0] == []
        revoke_login(login)
        assert len(import_from("knox", "--retire")[0]) == 1
        assert AuthToken.objects.count() == 1


def test_import_is_recorded_and_announced(
    drf_token: Make, django_capture_on_commit_callbacks: Any
) -> None:
    drf_token()
    heard: list[Any] = []

    def hear(login: LoginSession, **_: object) -> None:
        heard.append(login)

    signals.login_imported.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            import_from("authtoken")
    finally:
        signals.login_imported.disconnect(hear)
    login = LoginSession.objects.get()
    assert heard == [login]
    event = AuditEvent.objects.get(action="login_imported")
    assert (event.login, event.source, event.details) == (login, "command", {"peer": "authtoken"})
    assert str(ImportedCredential.objects.get()) == f"authtoken: {login}"


def test_no_secret_is_printed(drf_token: Make, knox_token: Make, foreign_key: Make) -> None:
    secrets = [drf_token("ada"), knox_token("eve"), foreign_key()]
    create_service_user("sandbox-runtime")
    told = [import_from("authtoken"), import_from("knox"), import_from(*OF_NOBODY)]
    assert not [secret for secret in secrets if secret in str(told)]
    assert not re.search("[0-9a-f]{64}", str(told))
