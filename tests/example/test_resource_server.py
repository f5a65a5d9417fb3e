"""The example's resource server: another process, without Django, that asks about what it gets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from pikku_auth.core.delegation import Delegation
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    mint_key,
    revoke_key,
    revoke_login,
    rotate_key,
)
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.testing import key_headers, login_headers
from tests.client.servers import unused_url
from tests.logins import logged_in
from tests.processes import PATIENCE, read_line, running

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
SERVER = [sys.executable, "-m", "example_project.resource_server"]


@contextmanager
def serving(url: str, own: IssuedKey) -> Iterator[Callable[..., requests.Response]]:
    """The resource server, to be asked with the headers of a credential."""
    environ = {"PYTHONPATH": str(ROOT), "PIKKU_URL": url, "PIKKU_API_KEY": own.secret.reveal()}
    with running(SERVER, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        address = read_line(process.stdout, "Listening on").split()[-1]

        def ask(issued: IssuedKey | IssuedLogin | None = None) -> requests.Response:
            headers: dict[str, str] = {}
            if isinstance(issued, IssuedKey):
                headers = key_headers(issued)
            elif issued is not None:
                headers = login_headers(issued)
            return requests.get(address, headers=headers, timeout=PATIENCE)

        yield ask


@pytest.fixture
def gateway() -> IssuedKey:
    scopes = ["auth:introspect", "auth:introspect_logins"]
    return mint_key(create_service_user("gateway"), scopes=scopes, delegation=Delegation(("*",)))


@pytest.fixture
def ask(live_server: Any, gateway: IssuedKey) -> Iterator[Callable[..., requests.Response]]:
    with serving(live_server.url, gateway) as asking:
        yield asking


def test_revoked_key_is_refused_at_the_next_request(
    ask: Callable[..., requests.Response], mint: Callable[..., IssuedKey]
) -> None:
    issued = mint(scopes=["sandbox:read"])
    for _ in range(2):
        answer = ask(issued)
        assert answer.status_code == 200
        assert answer.json()["scopes"] == ["sandbox:read"]
    successor = rotate_key(issued.key, overlap=None)
    assert ask(issued).status_code == 401
    assert ask(successor).status_code == 200
    revoke_key(successor.key)
    assert ask(successor).status_code == 401


def test_login_comes_in_until_it_ends(
    ask: Callable[..., requests.Response], make_user: Callable[..., Any]
) -> None:
    issued = logged_in(make_user("ada"))
    assert ask(issued).json()["caller"] == issued.login.user.get_username()
    revoke_login(issued.login)
    assert ask(issued).status_code == 401


def test_caller_without_the_scope_or_a_credential_is_refused(
    ask: Callable[..., requests.Response], mint: Callable[..., IssuedKey]
) -> None:
    assert ask(mint(scopes=["sandbox:write"])).status_code == 403
    nobody = ask()
    assert nobody.status_code == 401
    assert nobody.headers["WWW-Authenticate"].startswith("ApiKey")


def test_calls_are_counted(
    ask: Callable[..., requests.Response], mint: Callable[..., IssuedKey]
) -> None:
    issued = mint(scopes=["sandbox:read"], quota=2)
    assert [ask(issued).status_code for _ in range(3)] == [200, 200, 401]


def test_nobody_comes_in_while_nothing_is_known(
    live_server: Any, gateway: IssuedKey, mint: Callable[..., IssuedKey]
) -> None:
    issued = mint(scopes=["sandbox:read"])
    with serving(unused_url(), gateway) as ask:
        assert ask(issued).status_code == 503
    with serving(live_server.url, mint()) as ask:  # its own key lacks the scope
        assert ask(issued).status_code == 503


def test_resource_server_needs_no_django() -> None:
    program = "import sys, example_project.resource_server; print('django' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"
