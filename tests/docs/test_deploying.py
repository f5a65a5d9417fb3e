"""What docs/nginx.md, docs/asgi.md and docs/static-files.md show, run; nginx itself is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection
from django.test import Client

from pikku_auth.testing import key_headers, mint_test_key
from tests.docs.commands import manage_commands
from tests.docs.newcomer import Shell, steps_of
from tests.docs.pages import blocks, examples, run, text_of
from tests.docs.test_tutorial_login import wait_for, write
from tests.test_readme import free_port

THROUGH_NGINX = {
    "Host": "app.example.com",
    "X-Forwarded-For": "203.0.113.9, 198.51.100.7",  # the first one is the caller's own lie
    "X-Forwarded-Proto": "https",
}
MOUNTED = """
from django.urls import include

urlpatterns += [path("auth/", include("pikku_auth.urls"))]
"""


@pytest.fixture
def behind_nginx(settings: Any) -> dict[str, Any]:
    (block,) = examples("nginx.md")
    names = {name: value for name, value in run(block, {}).items() if name.isupper()}
    names["PIKKU_AUTH"] = {**settings.PIKKU_AUTH, **names["PIKKU_AUTH"]}
    for name, value in names.items():
        setattr(settings, name, value)
    return names


@pytest.mark.django_db
def test_behind_nginx_the_address_and_the_scheme_are_the_callers(
    behind_nginx: dict[str, Any],
) -> None:
    issued = mint_test_key(networks=["198.51.100.7/32"])
    client = Client(headers={**THROUGH_NGINX, **key_headers(issued)})
    assert client.get("/auth/whoami").status_code == 200
    exposed = Client(headers={**THROUGH_NGINX, **key_headers(issued), "X-Forwarded-Proto": "http"})
    assert exposed.get("/auth/whoami").status_code == 403


@pytest.mark.parametrize(("missing", "check"), [("NUM_PROXIES", "W013"), ("REQUIRE_HTTPS", "W018")])
def test_check_warns_of_what_is_missing(
    behind_nginx: dict[str, Any], settings: Any, missing: str, check: str
) -> None:
    assert f"pikku_auth.{check}" not in ids_of_checks()
    given = behind_nginx["PIKKU_AUTH"]
    settings.PIKKU_AUTH = {name: value for name, value in given.items() if name != missing}
    assert f"pikku_auth.{check}" in ids_of_checks()


def ids_of_checks() -> set[str | None]:
    return {found.id for found in run_checks(include_deployment_checks=True)}


def test_each_location_that_is_passed_on_has_all_headers() -> None:
    ((_, config),) = [block for block in blocks("nginx.md") if block[0] == "nginx"]
    locations = [part for part in config.split("location ")[1:] if "proxy_pass" in part]
    assert len(locations) == 2
    for location in locations:
        for header in ("Host", "X-Forwarded-For", "X-Forwarded-Proto"):
            assert f"proxy_set_header {header} " in location


def test_static_files_are_collected_where_it_says(settings: Any, tmp_path: Path) -> None:
    (block,) = examples("static-files.md")
    names = run(block, {})
    assert names["STATIC_ROOT"] == "/srv/app/static/"
    settings.STATIC_URL, settings.STATIC_ROOT = names["STATIC_URL"], str(tmp_path)
    (words,) = manage_commands(*examples("static-files.md", "console"))
    call_command(*words, "--verbosity", "0")
    ours = {path.name for path in (tmp_path / "pikku_auth").iterdir()}
    told = re.findall(r"`([\w.-]+\.(?:css|js|svg))`", text_of("static-files.md"))
    assert ours == set(told)
    assert all(finders.find(f"pikku_auth/{name}") for name in ours)


def test_static_files_may_have_hashed_names(settings: Any, tmp_path: Path) -> None:
    manifest = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": manifest}}
    settings.STATIC_ROOT = str(tmp_path)
    call_command("collectstatic", "--no-input", "--verbosity", "0")
    hashed = staticfiles_storage.url("pikku_auth/pages.css")
    assert re.search(r"pages\.[0-9a-f]{12}\.css$", hashed)


@pytest.mark.django_db
@pytest.mark.parametrize(("scheme", "status"), [("http", 403), ("https", 200)])
def test_probe_has_to_say_https_where_that_is_required(
    behind_nginx: dict[str, Any], scheme: str, status: int
) -> None:
    probe = Client(headers={**THROUGH_NGINX, "X-Forwarded-Proto": scheme}, REMOTE_ADDR="10.0.0.1")
    assert probe.get("/auth/ok").status_code == status


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    shell.type("django-admin startproject mysite .; ln -s mysite site_")
    for place, text in steps_of("tutorial-key.md"):
        if not place.startswith("$ "):
            write(tmp_path, place, text)
    write(tmp_path, "urls.py", MOUNTED)
    shell.type("python manage.py migrate --verbosity 0")
    yield shell
    shell.end()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the project has a SQLite of its own")
def test_uvicorn_serves_the_project_as_is_shown(shell: Shell) -> None:
    (command,) = examples("asgi.md", "bash")
    port = str(free_port())
    shell.type(f"{command.strip().replace('8000', port)} >server.log 2>&1 &")
    wait_for(f"http://127.0.0.1:{port}")
    minting = "python manage.py mint_key --create --service nightly-report --scope report:read"
    shell.type(f"KEY=$({minting} --verbosity 0)")
    told = shell.type(f'curl -H "x-api-key: $KEY" http://127.0.0.1:{port}/report/')
    assert told == '{"caller":"nightly-report","sold":42}'
