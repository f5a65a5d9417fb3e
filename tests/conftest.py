"""Fixtures, and two guards: no secret may reach a table or a log, in any test."""

from __future__ import annotations

import io
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.test import override_settings
from django.urls import get_resolver
from rest_framework.test import APIClient

from pikku_auth.core.secrets import Secret
from pikku_auth.core.user_codes import LENGTH, format_user_code
from pikku_auth.flows import IssuedKey, create_service_user, last_used, mint_key
from pikku_auth.models import ServiceUser
from tests import flushing, profiles

profiles.load()

_secrets: set[str] = set()


APART = {"e2e", "interop", "live"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """``e2e`` needs a browser, ``interop`` node, ``live`` Redis: they run when asked for by name.

    ``norecursedirs`` would keep them from being asked for, too.
    """
    name = collection_path.name
    asked_for = any(name in Path(argument).parts for argument in config.args)
    return True if name in APART and not asked_for else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first of those makes what it needs: servers, a browser, what npm installs."""
    for item in items:
        if item.path.parent.name in APART:
            item.add_marker(pytest.mark.timeout(500))


IN_KEY_HEADER = {"headers": ["x-api-key"], "until": None}
"""``IMPORTED_KEYS``: imported keys are sent where our own are."""


def pikku_settings(**changes: Any) -> override_settings:
    """Change some of ``PIKKU_AUTH`` and leave the rest."""
    return override_settings(PIKKU_AUTH={**settings.PIKKU_AUTH, **changes})


@pytest.fixture(autouse=True, scope="session")
def _children_can_be_signalled() -> None:
    """Have children get the signals that nohup or a shell's ``&`` made this process ignore.

    What a process ignores, its children ignore. What it handles, they don't: so this process
    handles it, by doing nothing.
    """
    of_python = {signal.SIGPIPE, signal.SIGXFSZ}  # subprocess gives these back
    for number in signal.valid_signals() - of_python:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@pytest.fixture(autouse=True, scope="session")
def _children_are_not_measured() -> None:
    """Coverage would slow them down, and finds nothing there that it hasn't found here."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS_")]:
        del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _the_urls_are_imported() -> None:
    """As at a server's start: drf-spectacular looks at the settings then, and never again."""
    assert get_resolver().url_patterns


@pytest.fixture(autouse=True, scope="session")
def _freezing_is_quick() -> Iterator[None]:
    """freezegun looks at each module at each freeze: at the number of its names, not at all."""

    def fingerprint(module: Any) -> str:
        return f"{id(module)}-{len(getattr(module, '__dict__', ()))}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("freezegun.api._get_module_attributes_hash", fingerprint, raising=False)
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        made = flushing.rows_that_are_kept()
    with flushing.quickly(made):
        yield


@pytest.fixture(autouse=True, scope="session")
def _every_secret_is_remembered() -> Iterator[None]:
    original = Secret.__init__

    def remembering(self: Secret, text: str) -> None:
        original(self, text)
        _secrets.add(text)
        if len(text) == LENGTH:
            _secrets.add(format_user_code(text))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Secret, "__init__", remembering)
        yield


@pytest.fixture
def remember_secret() -> Callable[[str], None]:
    """For a secret that another process has made."""
    return _secrets.add


@pytest.fixture(autouse=True)
def _its_secrets() -> Iterator[None]:
    """Forget the secrets of a test when it ends, but not those of fixtures that tests share."""
    shared = set(_secrets)
    yield
    _secrets.intersection_update(shared)


@pytest.fixture(autouse=True)
def _no_secret_in_the_logs(_its_secrets: None) -> Iterator[None]:
    stream = io.StringIO()
    handler, root = logging.StreamHandler(stream), logging.getLogger()
    levels = {logger: logger.level for logger in (root, logging.getLogger("django.db.backends"))}
    root.addHandler(handler)
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    yield
    root.removeHandler(handler)
    for logger, level in levels.items():
        logger.setLevel(level)
    text = stream.getvalue()
    assert not [secret for secret in _secrets if secret in text], "a secret was logged"


@pytest.fixture(autouse=True)
def _no_secret_in_the_tables(request: pytest.FixtureRequest, _its_secrets: None) -> Iterator[None]:
    marked = request.node.get_closest_marker("django_db")
    if marked is None:
        yield
        return
    request.getfixturevalue("transactional_db" if marked.kwargs.get("transaction") else "db")
    yield
    if _secrets:
        text = dump_of_tables()
        assert not [secret for secret in _secrets if secret in text], "a secret was stored"


def dump_of_tables() -> str:
    """Every row of every table, as text."""
    rows: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            rows.extend(repr(row) for row in cursor.fetchall())
    return "\n".join(rows)


@pytest.fixture(autouse=True)
def _a_clean_process() -> Iterator[None]:
    yield
    last_used._noted.clear()
    last_used._renewed.clear()
    last_used._converted.clear()
    cache.clear()


@pytest.fixture
def make_user() -> Callable[..., Any]:
    """Make a human, whatever the host's user model is."""

    def make(name: str = "ada", password: str = "correct-horse", **fields: Any) -> Any:
        model = get_user_model()
        username = f"{name}@example.com" if model.USERNAME_FIELD == "email" else name
        return model._default_manager.create_user(username, password=password, **fields)

    return make


@pytest.fixture
def service_user(db: None) -> ServiceUser:
    return create_service_user("sandbox-runtime")


@pytest.fixture
def mint(service_user: ServiceUser) -> Callable[..., IssuedKey]:
    """Mint a key of the service user ``sandbox-runtime``."""

    def make(**options: Any) -> IssuedKey:
        return mint_key(service_user, **options)

    return make


@pytest.fixture
def api() -> APIClient:
    """A client without a credential that raises what a view raises."""
    return APIClient()
