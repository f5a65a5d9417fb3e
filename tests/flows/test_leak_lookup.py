"""Whose is this secret?"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from pikku_auth.flows import IssuedKey, import_key, revoke_key
from pikku_auth.flows.leak_lookup import digests_of, find_leaked
from pikku_auth.models import ServiceUser
from tests.logins import logged_in

pytestmark = pytest.mark.django_db


def test_a_keys_secret_leads_to_the_key_dead_or_alive(mint: Callable[..., IssuedKey]) -> None:
    mint()
    issued = mint()
    revoke_key(issued.key)
    assert find_leaked(digests_of(f" {issued.secret.reveal()}\n")) == issued.key


def test_a_token_leads_to_the_login(make_user: Any) -> None:
    issued = logged_in(make_user())
    assert find_leaked(digests_of(issued.token.reveal())) == issued.login


def test_the_digest_does_as_well(mint: Callable[..., IssuedKey]) -> None:
    issued = mint()
    assert find_leaked(digests_of(issued.key.digest)) == issued.key


def test_a_key_of_another_system_is_found_even_if_it_looks_like_a_digest(
    service_user: ServiceUser,
) -> None:
    foreign = "a" * 64
    digest = sha256(foreign.encode()).hexdigest()
    key = import_key(service_user, digest=digest, preview="a")
    assert find_leaked(digests_of(foreign)) == key


@pytest.mark.parametrize("text", ["", "x", "pka_" + "0" * 49, "\0", "é", "x" * 9_999])
def test_anything_else_leads_nowhere(mint: Callable[..., IssuedKey], text: str) -> None:
    mint()
    assert find_leaked(digests_of(text)) is None
