"""No secret comes out where it must not, least of all when something breaks."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import django
import pytest
import sentry_sdk
from django.contrib.auth import get_user_model
from django.core import mail, serializers
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter, technical_500_response

from pikku_auth.core.user_codes import LENGTH
from pikku_auth.flows import (
    IssuedKey,
    authenticate,
    create_service_user,
    disable_key,
    enable_key,
    mint_key,
    revoke_key,
    rotate_key,
    verify_key,
)
from pikku_auth.flows.logins import verify_login
from pikku_auth.models import APIKey, AuditEvent, DeviceCode, LoginSession, ServiceUser
from tests.conftest import _secrets
from tests.logins import (
    GRANT_TYPE,
    approved,
    bearer,
    browser_of,
    logged_in,
    poll_body,
    post,
    started_and_claimed,
)

pytestmark = pytest.mark.django_db(transaction=True)

Mint = Callable[..., IssuedKey]
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Failing:
    """Fails at the ``at``-th statement, with an error that nobody expects."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.left == 0:
            raise IntegrityError("canary")
        self.left -= 1
        return execute(sql, params, many, context)


def by_verify(issued: IssuedKey) -> None:
    verify_key(issued.secret.reveal())


def by_resolve(issued: IssuedKey) -> None:
    authenticate(RequestFactory().get("/", headers={"x-api-key": issued.secret.reveal()}))


def by_mint(issued: IssuedKey) -> None:
    mint_key(issued.key.service_user)


def by_rotate(issued: IssuedKey) -> None:
    rotate_key(issued.key, overlap=timedelta(hours=1))


def by_command(issued: IssuedKey) -> None:
    call_command("mint_key", service="sandbox-runtime", stdout=StringIO(), stderr=StringIO())


def human() -> Any:
    """Somebody who logs in, the same each time."""
    name = get_user_model().USERNAME_FIELD
    user, _ = get_user_model()._default_manager.get_or_create(**{name: "ada@example.com"})
    return user


def by_start(issued: IssuedKey) -> None:
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}  # who starts a login on this machine is not counted
    Client(**elsewhere).post("/auth/device/code", {"client_id": "ci"}, "application/json")


def by_poll(issued: IssuedKey) -> None:
    """Through the view, which gets the device code as text."""
    body = poll_body(approved(human()))
    Client().post("/auth/device/token", body, "application/json")


def by_login(issued: IssuedKey) -> None:
    headers = bearer(logged_in(human()))
    Client().get("/auth/get-session", headers=headers)


def by_revoke(issued: IssuedKey) -> None:
    mine = logged_in(human())
    post(Client(), "revoke-session", {"token": mine.token.reveal()}, **bearer(mine))


def by_introspection(issued: IssuedKey) -> None:
    service_user = issued.key.service_user
    caller = mint_key(service_user, scopes=["auth:introspect", "auth:introspect_logins"])
    client = Client(headers={"x-api-key": caller.secret.reveal()})
    for token in (mint_key(service_user, quota=1).secret, logged_in(human()).token):
        body = urlencode({"token": token.reveal(), "count": "true"})
        assert client.post("/auth/introspect", body, FORM).json()["active"]


def by_revocation(issued: IssuedKey) -> None:
    for token in (mint_key(issued.key.service_user).secret, logged_in(human()).token):
        body = urlencode({"token": token.reveal()})
        assert Client().post("/auth/revoke", body, FORM).status_code == 200


VERBS = [
    by_verify, by_resolve, by_mint, by_rotate, by_command, by_start, by_poll, by_login, by_revoke,
    by_introspection, by_revocation,
]  # fmt: skip


def seen_by_the_server(trace: Any) -> Any:
    """What of a traceback is left without the caller, who may well know the secret."""
    callers = (str(Path(__file__).parent), str(Path(django.__file__).parent / "test"))
    while trace.tb_frame.f_code.co_filename.startswith(callers):
        trace = trace.tb_next
    return trace


def failures(verb: Callable[[IssuedKey], None], issued: IssuedKey) -> Iterator[Any]:
    """What is caught when the verb's first statement fails, its second, and so on."""
    for statement in range(100):
        try:
            with connection.execute_wrapper(Failing(statement)):
                verb(issued)
        except Exception as error:  # noqa: BLE001  # the report of any is looked at
            trace = seen_by_the_server(error.__traceback__)
            yield type(error), error.with_traceback(trace), trace
        else:
            assert statement > 0
            return
    raise AssertionError("it never came to an end")


@pytest.fixture
def secrets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The secrets that come to be in this test, also those that nobody gets to see."""
    from pikku_auth.core.secrets import Secret

    found: list[str] = []
    original = Secret.__init__

    def remembering(self: Secret, text: str) -> None:
        original(self, text)
        found.append(text)

    monkeypatch.setattr(Secret, "__init__", remembering)
    return found


def leaked(secrets: list[str], text: str) -> list[str]:
    """Which of them ``text`` shows. User codes are for people's eyes, and let nobody in."""
    lasting = [secret for secret in secrets if len(secret) > LENGTH]
    assert lasting
    return [secret for secret in lasting if secret in text or secret[12:] in text]


@pytest.mark.parametrize("verb", VERBS)
def test_no_error_report_shows_a_secret(
    secrets: list[str], mint: Mint, verb: Callable[[IssuedKey], None]
) -> None:
    issued = mint()
    for kind, error, trace in failures(verb, issued):
        reporter = ExceptionReporter(None, kind, error, trace)
        assert not leaked(secrets, reporter.get_traceback_text())
        assert not leaked(secrets, reporter.get_traceback_html())


@pytest.mark.parametrize("verb", VERBS)
def test_no_event_of_an_error_tracker_shows_a_secret(
    secrets: list[str], mint: Mint, verb: Callable[[IssuedKey], None]
) -> None:
    issued, events = mint(), []

    def keep(event: Any, hint: Any) -> None:
        events.append(event)

    client = sentry_sdk.Client(
        "https://public@example.com/1", before_send=keep,
        default_integrations=False, include_local_variables=True,
    )  # fmt: skip
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        for caught in failures(verb, issued):
            scope.capture_exception(caught)
    assert "canary" in json.dumps(events, default=repr)
    assert not leaked(secrets, json.dumps(events, default=repr))


def failing_request(issued: IssuedKey) -> tuple[HttpRequest, Any]:
    """A request with a good key that fails in the middle, and what is caught."""
    request = RequestFactory().get("/", headers={"x-api-key": issued.secret.reveal()})
    try:
        with connection.execute_wrapper(Failing(0)):
            authenticate(request)
    except IntegrityError:
        return request, sys.exc_info()
    raise AssertionError("it did not fail")


@override_settings(DEBUG=True)
def test_the_debug_page_does_not_show_the_header(secrets: list[str], mint: Mint) -> None:
    request, caught = failing_request(mint())
    page = technical_500_response(request, *caught).content.decode()
    assert "canary" in page
    assert "HTTP_X_API_KEY" in page
    assert not leaked(secrets, page)


@pytest.mark.parametrize("what", ["find a key", "poll", "approve", "revoke"])
@override_settings(DEBUG=True)
def test_debug_page_does_not_show_what_was_posted(
    what: str, mint: Mint, make_user: Callable[..., Any]
) -> None:
    key, root = mint().secret.reveal(), make_user("root", is_staff=True, is_superuser=True)
    poll, code = poll_body(approved(root)), started_and_claimed(root).user_code.reveal()
    path, body, kind, secret = {
        "find a key": ("/admin/pikku_auth/apikey/find/", f"secret={key}", FORM, key),
        "poll": ("/auth/device/token", urlencode(poll), FORM, poll["device_code"]),
        "revoke": ("/auth/revoke", f"token={key}", FORM, key),
        "approve": ("/auth/device/approve", json.dumps({"userCode": code}), JSON, code),
    }[what]
    shown = 0
    for statement in range(6):
        browser = browser_of(root, raise_request_exception=False)
        with connection.execute_wrapper(Failing(statement)), suppress(IntegrityError):
            page = browser.post(path, body, kind, headers={"Origin": "http://testserver"})
            shown += page.status_code == 500 and b"canary" in page.content
            assert secret not in page.content.decode()
    assert shown > 1


OPS: Any = "ops@example.com" if django.VERSION >= (6,) else ("Ops", "ops@example.com")


@override_settings(ADMINS=[OPS])
def test_the_mail_to_the_admins_does_not_show_the_header(secrets: list[str], mint: Mint) -> None:
    request, caught = failing_request(mint())
    record = logging.makeLogRecord({"msg": "Error", "request": request, "exc_info": caught})
    AdminEmailHandler(include_html=True).handle(record)
    message = mail.outbox[0]
    assert "canary" in message.body
    assert not leaked(secrets, message.body + str(message.alternatives))


def test_no_row_shows_its_digest_or_a_secret(secrets: list[str], mint: Mint) -> None:
    issued, login = mint(name="ci"), logged_in(human())
    told = [
        f"{row} {row!r}"
        for model in (ServiceUser, APIKey, AuditEvent, DeviceCode, LoginSession)
        for row in model.objects.all()
    ]
    told += [f"{issued} {issued!r} {issued.secret} {issued.secret!r}"]
    told += [repr(verify_key(issued.secret.reveal())), f"{login} {login!r}"]
    told += [repr(verify_login(login.token.digest))]
    assert not leaked(secrets, " ".join(told))
    for digest in (issued.key.digest, login.login.digest):
        assert digest not in " ".join(told)


def everything_that_can_be_done(api: Any) -> list[str]:
    """Every flow once, with real commits; the secrets that came of it."""
    service_user = create_service_user("orchestrator")
    first = mint_key(service_user, name="ci", scopes=["sandbox:read"], quota=10)
    second = rotate_key(first.key, overlap=timedelta(hours=1))
    third = rotate_key(second.key, overlap=None)
    disable_key(third.key)
    enable_key(third.key)
    out = StringIO()
    call_command("mint_key", service="orchestrator", stdout=out, stderr=StringIO())
    issued = [
        first.secret.reveal(),
        second.secret.reveal(),
        third.secret.reveal(),
        out.getvalue().strip(),
    ]
    for secret in issued:
        api.get("/api/sandboxes/", headers={"x-api-key": secret})
        api.get("/api/sandboxes/", headers={"Authorization": f"Bearer {secret}"})
        api.get("/api/sandboxes/", headers={"x-api-key": secret + "x"})
    revoke_key(third.key, reason="leak")
    return [*issued, *everything_about_a_login()]


def everything_about_a_login() -> list[str]:
    """A login from its start to its end, over HTTP; the secrets that came of it."""
    user, device = human(), Client()
    browser = browser_of(user)
    code = post(device, "device/code", {"client_id": "ci", "scope": "sandbox:read"}).json()
    request = {
        "grant_type": GRANT_TYPE,
        "device_code": code["device_code"],
        "client_id": "ci",
    }
    post(device, "device/token", request)
    browser.get("/auth/device", {"user_code": code["user_code"]})
    browser.get("/auth/activate", {"user_code": code["user_code"]})
    post(browser, "device/approve", {"userCode": code["user_code"]})
    DeviceCode.objects.update(last_polled_at=None)
    token = post(device, "device/token", request).json()["access_token"]
    for given in (token, token + "x", code["device_code"]):
        headers = {"Authorization": f"Bearer {given}"}
        device.get("/api/sandboxes/", headers=headers)
        device.get("/auth/get-session", headers=headers)
        device.get("/auth/list-sessions", headers=headers)
    post(device, "revoke-session", {"token": token}, Authorization=f"Bearer {token}")
    post(device, "sign-out", Authorization=f"Bearer {token}")
    DeviceCode.objects.update(last_polled_at=None)
    post(device, "device/token", request)
    user_code = code["user_code"]
    return [token, code["device_code"], user_code, user_code.replace("-", "")]


DUMP_SQLITE = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).iterdump(), sep='\\n')"


def dump_of_the_database() -> str:
    """What a tool for the purpose writes, from outside."""
    settings = connection.settings_dict
    name, host, user = settings["NAME"], settings["HOST"] or "127.0.0.1", settings["USER"]
    tools = {
        "sqlite": [sys.executable, "-c", DUMP_SQLITE, name],
        "postgresql": ["pg_dump", "-h", host, "-U", user, name],
        "mysql": ["mysqldump", "--skip-lock-tables", "-h", host, "-u", user, name],
    }
    tool = tools[connection.vendor]
    assert shutil.which(tool[0]), f"{tool[0]} is needed to look into the database"
    return subprocess.run(tool, capture_output=True, text=True, check=True).stdout


def test_a_dump_of_the_database_has_no_secret(secrets: list[str], api: Any) -> None:
    issued = everything_that_can_be_done(api)
    dump = dump_of_the_database()
    for secret in {*issued, *secrets}:
        disguises = [secret, secret[::-1], secret.encode().hex()]
        disguises += [secret[4:]] if len(secret) > 12 else []
        assert not [disguise for disguise in disguises if disguise in dump]
    assert APIKey.objects.first().digest in dump
    assert LoginSession.objects.get().digest in dump


def test_a_dump_gives_nobody_a_way_in(mint: Mint, api: Any) -> None:
    key = mint(scopes=["*"]).key
    for stolen in (key.digest, key.preview, f"pka_{key.digest}", key.digest.upper()):
        for header in ({"x-api-key": stolen}, {"Authorization": f"Bearer {stolen}"}):
            assert api.get("/api/sandboxes/", headers=header).status_code == 401


def test_a_dump_gives_nobody_a_login(api: Any) -> None:
    login = logged_in(human()).login
    for stolen in (login.digest, login.preview, f"pks_{login.digest}", login.digest.upper()):
        headers = {"Authorization": f"Bearer {stolen}"}
        assert api.get("/api/sandboxes/", headers=headers).status_code == 401
        assert api.get("/auth/get-session", headers=headers).json() is None


def test_the_logs_and_the_tables_are_watched_for_every_secret_of_a_login() -> None:
    """What the guards of conftest.py look for, in all that follows."""
    assert set(everything_about_a_login()) <= _secrets


def test_serialised_audit_events_have_neither_secret_nor_digest(
    secrets: list[str], mint: Mint
) -> None:
    issued = mint()
    text = serializers.serialize("json", AuditEvent.objects.all())
    assert issued.key.preview in text
    assert not leaked(secrets, text)
    assert issued.key.digest not in text


class TestTheAdmin:
    """What staff see."""

    @pytest.fixture
    def staff(self, client: Client, make_user: Callable[..., Any]) -> Client:
        user = make_user(is_staff=True, is_superuser=True)
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return client

    @pytest.mark.parametrize("page", ["", "{pk}/change/", "{pk}/history/", "?q=ci", "?q={digest}"])
    def test_no_page_shows_a_secret_or_a_digest(
        self, staff: Client, secrets: list[str], mint: Mint, page: str
    ) -> None:
        key = mint(name="ci").key
        path = f"/admin/pikku_auth/apikey/{page.format(pk=key.pk, digest=key.digest)}"
        html = staff.get(path).content.decode()
        assert not leaked(secrets, html)
        typed = re.compile(rf"(value=\"|q(=|%3D)){key.digest}")
        assert key.digest not in typed.sub("", html)

    @pytest.mark.parametrize("lookup", ["digest", "digest__startswith", "digest__gt"])
    def test_a_digest_can_not_be_asked_for_letter_by_letter(
        self, staff: Client, mint: Mint, lookup: str
    ) -> None:
        digest = mint().key.digest
        response = staff.get("/admin/pikku_auth/apikey/", {lookup: digest[:3]})
        assert response.status_code == 400

    def test_the_list_says_what_a_key_is_now(self, staff: Client, mint: Mint) -> None:
        issued = mint(scopes=["sandbox:read"])
        revoke_key(issued.key)
        html = staff.get("/admin/pikku_auth/apikey/").content.decode()
        assert "revoked" in html
        assert "sandbox:read" in html

    def test_the_list_costs_the_same_for_many_keys(
        self, staff: Client, mint: Mint, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(20):
            mint()
        with django_assert_max_num_queries(8):
            staff.get("/admin/pikku_auth/apikey/")
