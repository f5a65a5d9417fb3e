"""Every command, screen and endpoint, by a host with a user model of its own, in a process.

``python drive.py NAME`` prints what happened as JSON: a list of what was done and how it ended.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import django
from django.conf import settings

OURS = "pikku_auth.rest_framework.PikkuAuthentication"
APPS = ("admin", "auth", "contenttypes", "messages", "sessions", "staticfiles")
PASSWORD = "correct-horse"
BACKEND = "django.contrib.auth.backends.ModelBackend"

settings.configure(
    SECRET_KEY="of-a-throw-away-project-" * 3,
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="mysite.urls",
    INSTALLED_APPS=[*(f"django.contrib.{app}" for app in APPS), "people", "pikku_auth"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "pikku_auth.middleware.PikkuAuthMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    STATIC_URL="/static/",
    LOGIN_URL="/admin/login/",
    MIGRATION_MODULES=dict.fromkeys((*APPS, "people", "pikku_auth")),
    AUTH_USER_MODEL="people.User",
    AUTHENTICATION_BACKENDS=["pikku_auth.backends.ServiceUserBackend", BACKEND],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [OURS]},
    USE_TZ=True,
)
django.setup()

from django.contrib.admin.utils import quote  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.core.signals import got_request_exception  # noqa: E402
from django.test import Client  # noqa: E402

from pikku_auth.flows import (  # noqa: E402
    activate_service_user,
    create_service_user,
    deactivate_service_user,
    delete_service_user,
    mint_key,
)
from pikku_auth.models import APIKey, DeviceCode, LoginSession, ServiceUser  # noqa: E402
from pikku_auth.testing import issue_test_login, key_headers, login_headers  # noqa: E402

told: list[tuple[str, str]] = []
"""What was done, and how it ended: a status, ``done``, an error for people, or a traceback."""

raised: list[str] = []
got_request_exception.connect(lambda **_: raised.append(traceback.format_exc()), weak=False)


def note(what: str, ended: str) -> None:
    told.append((what, ended))


def command(name: str, *arguments: Any) -> None:
    out = io.StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=io.StringIO())
    except CommandError as error:
        note(f"manage.py {name}", f"refused: {error}")
    except Exception:  # noqa: BLE001  # it is what is looked for
        note(f"manage.py {name}", traceback.format_exc())
    else:
        note(f"manage.py {name}", "done")


def verb(name: str, do: Callable[[], Any]) -> Any:
    try:
        found = do()
    except ValueError as error:  # InvalidInput is one
        note(name, f"refused: {error}" if type(error).__name__ == "InvalidInput" else repr(error))
        return None
    except Exception:  # noqa: BLE001  # it is what is looked for
        note(name, traceback.format_exc())
        return None
    note(name, "done")
    return found


def ask(client: Client, method: str, path: str, data: Any = None, **options: Any) -> Any:
    raised.clear()
    answer = getattr(client, method)(path, data, **options)
    ended = raised[-1] if raised else str(answer.status_code)
    note(f"{method.upper()} {path.split('?', maxsplit=1)[0]}", ended)
    return answer


def json_of(client: Client, path: str, data: Any) -> Any:
    return ask(client, "post", f"/auth/{path}", data, content_type="application/json")


def main(name: str) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    human = get_user_model()._default_manager.make(name, PASSWORD)
    browser = Client(raise_request_exception=False, headers={"origin": "http://testserver"})
    browser.force_login(human, BACKEND)
    owner = machine()
    keys = [mint_key(owner, name=f"key {number}", scopes=["a:b"]) for number in range(6)]
    commands(name, [issued.key for issued in keys])
    endpoints(browser, human, keys[0])
    screens(browser, keys[5].key, human)
    verb("delete_service_user", lambda: delete_service_user(create_service_user("passing")))
    sys.stdout.write(f"{json.dumps(told)}\n")


def machine() -> ServiceUser:
    """One that the model lets us make, else one that adopts."""
    made = verb("create_service_user", lambda: create_service_user("robot"))
    account = get_user_model()._default_manager.make("4915100000000", PASSWORD)
    for right in ("is_staff", "is_superuser"):
        with suppress(AttributeError):
            setattr(account, right, False)
    account.save()
    adopted = verb("adopt", lambda: create_service_user("adopted", user=account))
    made = made or adopted
    verb("deactivate_service_user", lambda: deactivate_service_user(made))
    verb("activate_service_user", lambda: activate_service_user(made))
    return made


def commands(name: str, keys: list[APIKey]) -> None:
    robot = keys[0].service_user.name
    command("check")
    command("create_service_user", "builder", "--description", "builds")
    command("create_service_user", "other", "--user", "nobody")
    command("set_service_user_scopes", robot, "--scope", "a:*")
    command("deactivate_service_user", robot)
    command("activate_service_user", robot)
    command("mint_key", "--service", robot, "--scope", "a:b")
    command("rotate_key", keys[1].pk)
    command("set_key_bounds", keys[2].pk, "--rate", "5/s")
    command("disable_key", keys[2].pk)
    command("enable_key", keys[2].pk)
    command("revoke_key", keys[3].pk, "--no-input")
    command("revoke_key", "--minted-by", name, "--no-input")
    command("revoke_logins", name, "--no-input")
    command("list_keys")
    command("list_keys", "--format", "json")
    command("list_service_users")
    command("list_logins", "--user", name)
    command("list_events", "--format", "json")
    command("prune_auth")
    command("show_access")


def endpoints(browser: Client, human: Any, issued: Any) -> None:
    machine = Client(raise_request_exception=False, headers=key_headers(issued))
    for path in ("/api/who", "/plain", "/auth/whoami", "/auth/get-session"):
        ask(machine, "get", path)
    json_of(machine, "ws-ticket", {})
    for decision in ("approve", "deny"):
        code = json_of(Client(), "device/code", {"client_id": "cli"}).json()
        ask(browser, "get", "/auth/device", {"user_code": code["user_code"]})
        ask(browser, "get", "/auth/activate", {"user_code": code["user_code"]})
        json_of(browser, f"device/{decision}", {"userCode": code["user_code"]})
        grant = "urn:ietf:params:oauth:grant-type:device_code"
        poll = {"grant_type": grant, "client_id": "cli", "device_code": code["device_code"]}
        json_of(Client(), "device/token", poll)
    for path in ("get-session", "list-sessions", "whoami", "ok"):
        ask(browser, "get", f"/auth/{path}")
    json_of(browser, "ws-ticket", {})
    login = issue_test_login(human)
    terminal = Client(raise_request_exception=False, headers=login_headers(login))
    for path in ("/api/who", "/plain", "/auth/whoami", "/auth/get-session", "/auth/list-sessions"):
        ask(terminal, "get", path)
    other = issue_test_login(human)
    json_of(terminal, "revoke-session", {"token": str(other.login.pk)})
    json_of(terminal, "revoke-other-sessions", {})
    json_of(terminal, "sign-out", {})
    if human.password:  # Django's own backend has no mercy with who has none
        typed = {"username": human.get_username(), "password": PASSWORD}
        someone = Client(raise_request_exception=False)
        ask(someone, "post", "/admin/login/?next=/auth/activate", typed)


def screens(browser: Client, key: APIKey, human: Any) -> None:
    issue_test_login(human)
    rows = {
        "apikey": key,
        "serviceuser": key.service_user,
        "loginsession": LoginSession.objects.latest("pk"),
        "auditevent": key.audit_events.latest("pk"),
    }
    for model, row in rows.items():
        base = f"/admin/pikku_auth/{model}/"
        for path in ("", f"{row.pk}/change/", f"{row.pk}/history/", f"{row.pk}/delete/"):
            ask(browser, "get", f"{base}{path}")
        ask(browser, "get", base, {"q": "ada", "o": "1"})
    for path in ("apikey/add/", "serviceuser/add/", "auditevent/export/"):
        ask(browser, "get", f"/admin/pikku_auth/{path}")
    for user in (human, key.service_user.user):
        for page in ("change", "delete"):
            ask(browser, "get", f"/admin/people/user/{quote(user.pk)}/{page}/")
    made = {"name": "by-hand", "description": ""}
    ask(browser, "post", "/admin/pikku_auth/serviceuser/add/", made)
    acts = {
        "apikey": ("rotate", "bounds", "disable", "enable", "revoke"),
        "serviceuser": ("deactivate", "activate"),
        "loginsession": ("revoke", "revoke-all"),
    }
    typed = {"overlap": "24h", "reason": "", "confirm": "yes"}
    for model, names in acts.items():
        for name in names:
            path = f"/admin/pikku_auth/{model}/act/{name}/"
            ask(browser, "get", path, {"ids": rows[model].pk})
            ask(browser, "post", path, {"ids": rows[model].pk, **typed})
    page = ask(browser, "get", "/admin/pikku_auth/apikey/add/")
    form = {"service_user": key.service_user.pk, "more_scopes": "a:b", "expires_in": "90d"}
    form_id = page.context and page.context.get("form_id")
    ask(browser, "post", "/admin/pikku_auth/apikey/add/", {**form, "form_id": form_id or ""})
    assert DeviceCode.objects.exists()


main(sys.argv[1])
