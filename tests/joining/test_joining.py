"""A project that exists is joined by the documentation's lines, and is what it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT, examples, run

PROJECT = Path(__file__).parent / "project"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
OUR_BACKEND = "pikku_auth.backends.ServiceUserBackend"
OUR_CLASS = "pikku_auth.rest_framework.PikkuAuthentication"
BY_DEFAULT = [
    "rest_framework.authentication.SessionAuthentication",
    "rest_framework.authentication.BasicAuthentication",
]
FACTORY = "PIKKU_AUTH = {'SERVICE_USER_FACTORY': 'users.machines.create_machine'}\n"
KEY = (
    "from pikku_auth.flows import create_service_user as make, mint_key;"
    "print(mint_key(make('machine'), scopes=['a:b']).secret.reveal())"
)


def python(project: Path, *arguments: str) -> str:
    """What a command says, which has to end well."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{project}"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def manage(project: Path, *arguments: str) -> str:
    return python(project, "manage.py", *arguments)


def routes_of(project: Path) -> dict[str, dict[str, int]]:
    told: dict[str, dict[str, int]] = json.loads(python(project, "routes.py").splitlines()[-1])
    return told


def append(file: Path, *texts: str) -> None:
    with file.open("a") as written:
        written.write("\n" + "\n".join(texts))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is."""
    project = tmp_path_factory.mktemp("before") / "project"
    shutil.copytree(PROJECT, project)
    manage(project, "makemigrations", "users")
    manage(project, "migrate")
    return project


@pytest.fixture(scope="module")
def joined(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, joined by the README's lines, those of ``django.md``, and a factory."""
    project = tmp_path_factory.mktemp("joined") / "project"
    shutil.copytree(before, project)
    settings, *_ = examples("README.md")
    middleware, *_ = examples("django.md")
    _, by_email, *_ = examples("user-models.md")
    append(project / "config" / "settings.py", settings, middleware, FACTORY)
    append(
        project / "config" / "urls.py",
        'urlpatterns += [path("auth/", include("pikku_auth.urls"))]\n',
    )
    (project / "users" / "machines.py").write_text(by_email)
    manage(project, "migrate")
    return project


def test_the_check_has_nothing_to_say(joined: Path) -> None:
    assert "no issues" in manage(joined, "check", "--fail-level", "WARNING")


@pytest.mark.parametrize("project", ["before", "joined"])
def test_the_projects_own_tests_are_green(project: str, request: pytest.FixtureRequest) -> None:
    told = manage(request.getfixturevalue(project), "test", "users")
    assert "Ran 7 tests" in told
    assert "OK" in told


def test_the_api_is_as_closed_as_it_was(before: Path, joined: Path) -> None:
    was, is_now = routes_of(before), routes_of(joined)
    assert is_now.keys() >= was.keys()
    changed = {
        (statuses[caller], is_now[route][caller])
        for route, statuses in was.items()
        for caller in statuses
        if statuses[caller] != is_now[route][caller]
    }
    assert changed == {(403, 401)}


def test_a_key_opens_nothing_that_names_no_scope(joined: Path) -> None:
    key = manage(joined, "shell", "-v", "0", "-c", KEY).splitlines()[-1]
    ask = (
        "from django.test import Client\n"
        f"client = Client(headers={{'x-api-key': {key!r}}}, raise_request_exception=False)\n"
        "print([client.get(url, headers={'host': 'testserver'}).status_code for url in "
        "('/api/users/', '/api/users/me/', '/api/schema/', '/profile/', '/admin/', "
        "'/auth/whoami')])"
    )
    told = manage(joined, "shell", "-v", "0", "-c", ask).splitlines()[-1]
    assert told == "[403, 403, 403, 302, 403, 200]"


EXISTING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing but what startproject makes": (
        {"INSTALLED_APPS": ["a"]},
        {
            "INSTALLED_APPS": ["a", "rest_framework", "pikku_auth"],
            "AUTHENTICATION_BACKENDS": [OUR_BACKEND, MODEL_BACKEND],
            "REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": [OUR_CLASS, *BY_DEFAULT]},
        },
    ),
    "tuples": (
        {
            "INSTALLED_APPS": ("rest_framework", "a"),
            "AUTHENTICATION_BACKENDS": ("sso", MODEL_BACKEND),
            "REST_FRAMEWORK": {"DEFAULT_AUTHENTICATION_CLASSES": ("theirs",), "PAGE_SIZE": 9},
        },
        {
            "INSTALLED_APPS": ["rest_framework", "a", "pikku_auth"],
            "AUTHENTICATION_BACKENDS": [OUR_BACKEND, "sso", MODEL_BACKEND],
            "REST_FRAMEWORK": {
                "DEFAULT_AUTHENTICATION_CLASSES": [OUR_CLASS, "theirs"],
                "PAGE_SIZE": 9,
            },
        },
    ),
    "an API without authentication classes of its own": (
        {
            "INSTALLED_APPS": ["rest_framework"],
            "REST_FRAMEWORK": {"DEFAULT_PERMISSION_CLASSES": ["closed"]},
        },
        {
            "INSTALLED_APPS": ["rest_framework", "pikku_auth"],
            "AUTHENTICATION_BACKENDS": [OUR_BACKEND, MODEL_BACKEND],
            "REST_FRAMEWORK": {
                "DEFAULT_AUTHENTICATION_CLASSES": [OUR_CLASS, *BY_DEFAULT],
                "DEFAULT_PERMISSION_CLASSES": ["closed"],
            },
        },
    ),
}


@pytest.mark.parametrize("name", EXISTING)
def test_the_readmes_lines_keep_what_is_there(name: str) -> None:
    given, wanted = EXISTING[name]
    settings, *_ = examples("README.md")
    names = run(settings, dict(given))
    assert {name: value for name, value in names.items() if name.isupper()} == wanted


def test_the_lines_written_by_hand_are_those_of_the_readme() -> None:
    (by_hand,) = examples("joining.md")
    written = run(by_hand, {})
    without = run("\n".join(line for line in by_hand.splitlines() if "# new" not in line), {})
    settings, *_ = examples("README.md")
    pasted = run(settings, without)
    for name in ("INSTALLED_APPS", "AUTHENTICATION_BACKENDS", "REST_FRAMEWORK"):
        assert pasted[name] == written[name]
