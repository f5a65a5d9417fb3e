"""The same request gets the same decision, whichever integration it comes to.

A table of requests; each is sent through every integration. What they answer is compared whole,
with the headers of a refusal, so that one which differs is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from django.urls import include, path
from pytest_django import Settings
from rest_framework_simplejwt.tokens import AccessToken

from pikku_auth.conf import DEFAULTS
from pikku_auth.core.limits import parse_rate
from pikku_auth.core.secrets import generate
from pikku_auth.flows import (
    IssuedKey,
    activate_service_user,
    create_service_user,
    deactivate_service_user,
    disable_key,
    enable_key,
    mint_key,
    revoke_key,
    revoke_login,
    rotate_key,
)
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.models import APIKey, LoginSession, ServiceUser
from tests import login_scopes
from tests.cases import in_turn
from tests.conftest import pikku_settings
from tests.integrations.decision import (
    BAD_KEY,
    BAD_TOKEN,
    CRASH,
    KEY_IN_AUTHORIZATION,
    NOBODY,
    NOT_FROM_HERE,
    OUTAGE,
    OVER_ITS_RATE,
    TOKEN_IN_KEY_HEADER,
    USED_UP,
    Decision,
    missing,
)
from tests.integrations.ways_in import (
    HTTP_INTEGRATIONS,
    INTEGRATIONS,
    SCOPED_INTEGRATIONS,
    Headers,
    Integration,
)
from tests.logins import browser_of, logged_in

pytestmark = pytest.mark.django_db(transaction=True)


def everywhere(
    headers: Headers, expected: Decision, integrations: dict[str, Integration] | None = None
) -> None:
    """Send the request through every integration."""
    integrations = INTEGRATIONS if integrations is None else integrations
    decisions = {name: ask(headers) for name, ask in integrations.items()}
    assert decisions == dict.fromkeys(integrations, expected)


def key_header(issued: IssuedKey) -> tuple[str, str]:
    return ("x-api-key", issued.secret.reveal())


def login_header(issued: IssuedLogin) -> tuple[str, str]:
    return ("Authorization", f"Bearer {issued.token.reveal()}")


def key_decision(issued: IssuedKey) -> Decision:
    user = str(issued.key.service_user.user_id)
    return Decision(200, user=user, via="api_key", scopes=tuple(issued.key.scopes))


def login_decision(issued: IssuedLogin) -> Decision:
    user = str(issued.login.user_id)
    return Decision(200, user=user, via="login", scopes=tuple(issued.login.scopes))


@dataclass
class World:
    """Who there is, and what they hold."""

    ada: Any
    machine: ServiceUser
    key: IssuedKey
    login: IssuedLogin
    cookie: tuple[str, str]

    @property
    def bearer(self) -> tuple[str, str]:
        return login_header(self.login)


@pytest.fixture
def world(make_user: Callable[..., Any], service_user: ServiceUser) -> World:
    ada = make_user("ada")
    cookies = browser_of(ada).cookies
    return World(
        ada=ada,
        machine=service_user,
        key=mint_key(service_user, scopes=["sandbox:read"]),
        login=logged_in(ada),
        cookie=("Cookie", "; ".join(f"{name}={c.value}" for name, c in cookies.items())),
    )


# --- The truth table: which credential decides ----------------------------------------------

Request = Callable[[World], list[tuple[str, str]]]
Expect = Callable[[World], Decision]

TRUTH_TABLE: dict[str, tuple[Request, Expect]] = {
    "good key": (lambda w: [key_header(w.key)], lambda w: key_decision(w.key)),
    "bad key": (lambda w: [("x-api-key", "nonsense")], lambda w: BAD_KEY),
    "bad key and good bearer": (
        lambda w: [("x-api-key", "nonsense"), w.bearer],
        lambda w: BAD_KEY,
    ),
    "good key and good bearer": (
        lambda w: [key_header(w.key), w.bearer],
        lambda w: key_decision(w.key),
    ),
    "good key and bad bearer": (
        lambda w: [key_header(w.key), ("Authorization", "Bearer nonsense")],
        lambda w: key_decision(w.key),
    ),
    "good key and a session": (
        lambda w: [key_header(w.key), w.cookie],
        lambda w: key_decision(w.key),
    ),
    # The reference falls through to the bearer here, and we do not.
    "empty key and good bearer": (lambda w: [("x-api-key", ""), w.bearer], lambda w: BAD_KEY),
    "good bearer": (lambda w: [w.bearer], lambda w: login_decision(w.login)),
    "good bearer and a session": (
        lambda w: [w.bearer, w.cookie],
        lambda w: login_decision(w.login),
    ),
    "good bearer, its scheme in lower case": (
        lambda w: [("Authorization", w.bearer[1].replace("Bearer", "bearer"))],
        lambda w: login_decision(w.login),
    ),
    "bad bearer of ours": (
        lambda w: [("Authorization", "Bearer pks_nonsense")],
        lambda w: BAD_TOKEN,
    ),
    "bad bearer of ours and a session": (
        lambda w: [("Authorization", "Bearer pks_nonsense"), w.cookie],
        lambda w: BAD_TOKEN,
    ),
    "somebody else's bearer": (
        lambda w: [("Authorization", f"Bearer {AccessToken.for_user(w.ada)}")],
        lambda w: NOBODY,
    ),
    "basic authentication": (
        lambda w: [("Authorization", "Basic YWRhOmFkYQ==")],
        lambda w: NOBODY,
    ),
    "no scheme": (lambda w: [("Authorization", w.login.token.reveal())], lambda w: BAD_TOKEN),
    "a session": (lambda w: [w.cookie], lambda w: NOBODY),
    "nothing": (lambda w: [], lambda w: NOBODY),
    "good key and somebody to be instead": (
        lambda w: [key_header(w.key), ("x-pikku-impersonate-user-id", str(w.ada.pk))],
        lambda w: key_decision(w.key),
    ),
    "good bearer and somebody to be instead": (
        lambda w: [w.bearer, ("x-pikku-impersonate-user-id", "1")],
        lambda w: login_decision(w.login),
    ),
    "a cookie of another site's relay": (
        lambda w: [("x-pikku-cross-site-cookie", w.cookie[1])],
        lambda w: NOBODY,
    ),
    "a key in the URL's place": (
        lambda w: [("Referer", f"https://example.com/?apiKey={'x' * 20}")],
        lambda w: NOBODY,
    ),
}


@pytest.mark.parametrize("case", TRUTH_TABLE)
def test_the_truth_table(case: str, world: World) -> None:
    request, expect = TRUTH_TABLE[case]
    everywhere(request(world), expect(world))


@pytest.mark.parametrize("also", ["nothing", "good bearer"])
def test_who_the_mapping_rejects_is_refused_whatever_else_is_there(also: str, world: World) -> None:
    reject = "tests.mappings.reject"
    with pikku_settings(MAP_KEY=reject, MAP_LOGIN=reject):
        others = [world.bearer] if also == "good bearer" else []
        everywhere([key_header(world.key), *others], BAD_KEY)
        everywhere([world.bearer], BAD_TOKEN)


@pytest.mark.parametrize("kind", ["", "a"], ids=["sync", "async"])
def test_who_the_mapping_narrows_is_narrowed(kind: str, world: World) -> None:
    name = f"tests.mappings.{kind}narrow"
    full = mint_key(world.machine, scopes=["sandbox:*"])
    with pikku_settings(MAP_KEY=name, MAP_LOGIN=name):
        everywhere([key_header(full)], key_decision(full)._replace(scopes=("sandbox:read",)))
        narrowed = login_decision(world.login)._replace(scopes=("sandbox:read",))
        everywhere([world.bearer], narrowed)


@pytest.mark.parametrize("mistake", ["widen", "fail", "mistake"])
def test_a_mistake_in_the_mapping_is_an_error_and_no_decision(mistake: str, world: World) -> None:
    name = f"tests.mappings.{mistake}"
    with pikku_settings(MAP_KEY=name, MAP_LOGIN=name):
        everywhere([key_header(world.key)], CRASH, HTTP_INTEGRATIONS)
        everywhere(
            [login_header(logged_in(world.ada, scope="sandbox:read"))], CRASH, HTTP_INTEGRATIONS
        )


# --- T20: a bad key header never falls through ------------------------------------------------


def revoked(world: World) -> str:
    revoke_key(world.key.key)
    return world.key.secret.reveal()


def expired(world: World) -> str:
    APIKey.objects.update(expires_at=world.key.key.created_at)
    return world.key.secret.reveal()


BAD_KEYS: dict[str, Callable[[World], list[str]]] = {
    "empty": lambda w: [""],
    "spaces": lambda w: ["   "],
    "malformed": lambda w: ["nonsense"],
    "not ASCII": lambda w: ["kl\xfc\xdfel"],
    "unknown": lambda w: [generate("pka").reveal()],
    "revoked": lambda w: [revoked(w)],
    "expired": lambda w: [expired(w)],
    "a ticket": lambda w: [generate("pkt").reveal()],
    "two, the first good": lambda w: [w.key.secret.reveal(), "nonsense"],
    "two, the second good": lambda w: ["nonsense", w.key.secret.reveal()],
    "two, both good": lambda w: [w.key.secret.reveal()] * 2,
    "two in one": lambda w: [f"{w.key.secret.reveal()}, {w.key.secret.reveal()}"],
}
BESIDE: dict[str, Callable[[World], list[tuple[str, str]]]] = {
    "nothing": lambda w: [],
    "a session": lambda w: [w.cookie],
    "a good bearer": lambda w: [w.bearer],
    "a session and a good bearer": lambda w: [w.cookie, w.bearer],
}


@pytest.mark.parametrize(("bad", "beside"), in_turn([*BAD_KEYS], [*BESIDE]))
def test_a_bad_key_is_refused_whatever_is_beside_it(bad: str, beside: str, world: World) -> None:
    headers = [("x-api-key", value) for value in BAD_KEYS[bad](world)]
    everywhere([*headers, *BESIDE[beside](world)], BAD_KEY)


# --- T21, and what else can be wrong with a bearer ---------------------------------------------

BAD_BEARERS: dict[str, Callable[[World], list[str]]] = {
    "malformed": lambda w: ["Bearer pks_nonsense"],
    "only a prefix": lambda w: ["Bearer pks_"],
    "unknown": lambda w: [f"Bearer {generate('pks').reveal()}"],
    "two, the first good": lambda w: [w.bearer[1], "Bearer nonsense"],
    "two, the second good": lambda w: ["Bearer pks_nonsense", w.bearer[1]],
    "two, both good": lambda w: [w.bearer[1]] * 2,
    "two words": lambda w: [f"{w.bearer[1]} {w.login.token.reveal()}"],
    "no scheme": lambda w: [w.login.token.reveal()],
    "another scheme": lambda w: [f"Token {w.login.token.reveal()}"],
    "a tab": lambda w: [w.bearer[1].replace(" ", "\t")],
    "two, the first somebody else's": lambda w: ["Bearer nonsense", w.bearer[1]],
    "two, the first for a password": lambda w: ["Basic YWRhOmFkYQ==", w.bearer[1]],
    "two, the second somebody else's": lambda w: [w.bearer[1], "Basic YWRhOmFkYQ=="],
}


@pytest.mark.parametrize(("bad", "beside"), in_turn([*BAD_BEARERS], ["nothing", "a session"]))
def test_a_bad_bearer_is_refused_whatever_is_beside_it(bad: str, beside: str, world: World) -> None:
    headers = [("Authorization", value) for value in BAD_BEARERS[bad](world)]
    everywhere([*headers, *BESIDE[beside](world)], BAD_TOKEN)


# --- The other one's header --------------------------------------------------------------------

MISPLACED_KEYS = ["Bearer {}", "Token {}", "Api-Key {}", "ApiKey {}", "{}", 'Bearer "{}"', "Key {}"]
MISPLACED_TOKENS = ["{}", "Bearer {}", '"{}"', " {}"]


@pytest.mark.parametrize(("form", "beside"), in_turn(MISPLACED_KEYS, ["nothing", "a session"]))
def test_key_in_authorization_is_told_where_it_belongs(
    form: str, beside: str, world: World
) -> None:
    header = ("Authorization", form.format(world.key.secret.reveal()))
    everywhere([header, *BESIDE[beside](world)], KEY_IN_AUTHORIZATION)


@pytest.mark.parametrize(("form", "beside"), in_turn(MISPLACED_TOKENS, [*BESIDE]))
def test_login_token_in_the_key_header_is_told_where_it_belongs(
    form: str, beside: str, world: World
) -> None:
    header = ("x-api-key", form.format(world.login.token.reveal()))
    everywhere([header, *BESIDE[beside](world)], TOKEN_IN_KEY_HEADER)


# --- Every state ------------------------------------------------------------------------------


def django_user(service_user: ServiceUser, **changes: Any) -> None:
    get_user_model()._default_manager.filter(pk=service_user.user_id).update(**changes)


def spent(world: World, **limits: Any) -> IssuedKey:
    """A key whose limit is used up."""
    issued = mint_key(world.machine, **limits)
    INTEGRATIONS["the decorator"]([key_header(issued)])
    return issued


def after(act: Callable[[IssuedKey], Any]) -> Callable[[World], IssuedKey]:
    def made(world: World) -> IssuedKey:
        act(world.key)
        return world.key

    return made


def disabled_and_enabled(issued: IssuedKey) -> None:
    disable_key(issued.key)
    enable_key(issued.key)


def stopped_and_started(issued: IssuedKey) -> None:
    deactivate_service_user(issued.key.service_user)
    activate_service_user(issued.key.service_user)


def of_a_deleted_user(world: World) -> IssuedKey:
    issued = mint_key(create_service_user("short-lived"))
    get_user_model()._default_manager.get(pk=issued.key.service_user.user_id).delete()
    return issued


GOOD = None
KEY_STATES: dict[str, tuple[Callable[[World], IssuedKey], Decision | None]] = {
    "active": (lambda w: w.key, GOOD),
    "without end": (lambda w: mint_key(w.machine, lifetime=None), GOOD),
    "with no scope": (lambda w: mint_key(w.machine), GOOD),
    "with every scope": (lambda w: mint_key(w.machine, scopes=["*"]), GOOD),
    "disabled": (after(lambda issued: disable_key(issued.key)), BAD_KEY),
    "disabled and enabled again": (after(disabled_and_enabled), GOOD),
    "revoked": (after(lambda issued: revoke_key(issued.key)), BAD_KEY),
    "expired": (lambda w: (expired(w), w.key)[1], BAD_KEY),
    "rotated, in the overlap": (after(lambda issued: rotate_key(issued.key)), GOOD),
    "rotated at once": (after(lambda issued: rotate_key(issued.key, overlap=None)), BAD_KEY),
    "its successor": (lambda w: rotate_key(w.key.key, overlap=None), GOOD),
    "over its rate": (lambda w: spent(w, rate=parse_rate("1/d")), OVER_ITS_RATE),
    "over its quota": (lambda w: spent(w, quota=1), USED_UP),
    "from a network that it may not": (
        lambda w: mint_key(w.machine, networks=["192.0.2.0/24"]),
        NOT_FROM_HERE,
    ),
    "from a network that it may": (lambda w: mint_key(w.machine, networks=["127.0.0.1"]), GOOD),
    "of a stopped service user": (
        after(lambda issued: deactivate_service_user(issued.key.service_user)),
        BAD_KEY,
    ),
    "of one that was started again": (after(stopped_and_started), GOOD),
    "of an inactive Django user": (
        after(lambda issued: django_user(issued.key.service_user, is_active=False)),
        BAD_KEY,
    ),
    "of a superuser": (
        after(lambda issued: django_user(issued.key.service_user, is_superuser=True)),
        BAD_KEY,
    ),
    "of a deleted Django user": (of_a_deleted_user, BAD_KEY),
}


@pytest.mark.parametrize("state", KEY_STATES)
def test_every_state_of_a_key_and_its_owner(state: str, world: World) -> None:
    make, expected = KEY_STATES[state]
    issued = make(world)
    everywhere([key_header(issued)], expected or key_decision(issued))


def change_password(user: Any) -> None:
    user.set_password("another")
    user.save()


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


LOGIN_STATES: dict[str, tuple[Callable[[World], Any], Decision | None]] = {
    "active": (lambda w: None, GOOD),
    "revoked": (lambda w: revoke_login(w.login.login), BAD_TOKEN),
    "expired": (
        lambda w: LoginSession.objects.update(expires_at=w.login.login.created_at),
        BAD_TOKEN,
    ),
    "of an inactive human": (lambda w: deactivate(w.ada), BAD_TOKEN),
    "of another password": (lambda w: change_password(w.ada), BAD_TOKEN),
    "of a deleted human": (lambda w: w.ada.delete(), BAD_TOKEN),
}


@pytest.mark.parametrize("state", LOGIN_STATES)
def test_every_state_of_a_login(state: str, world: World) -> None:
    act, expected = LOGIN_STATES[state]
    act(world)
    everywhere([world.bearer], expected or login_decision(world.login))


def test_a_login_with_scopes_has_those_only(world: World) -> None:
    issued = logged_in(world.ada, scope="sandbox:read")
    everywhere([login_header(issued)], login_decision(issued))


@pytest.fixture
def outage() -> Iterator[None]:
    def down(*_: object, **__: object) -> None:
        raise OperationalError("gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "cursor", down)
        yield


@pytest.mark.parametrize("kind", ["key", "login"])
def test_an_outage_says_nothing_of_a_credential(
    kind: str, world: World, request: pytest.FixtureRequest
) -> None:
    header = key_header(world.key) if kind == "key" else world.bearer
    with nullcontext(request.getfixturevalue("outage")):
        everywhere([header], OUTAGE)


# --- Scopes -----------------------------------------------------------------------------------

HELD: dict[str, tuple[list[str], bool]] = {
    "none": ([], False),
    "another": (["sandbox:read"], False),
    "the one": (["sandbox:write"], True),
    "all of the resource": (["sandbox:*"], True),
    "all": (["*"], True),
}


@pytest.mark.parametrize("held", HELD)
def test_a_scope_that_is_wanted(held: str, world: World) -> None:
    scopes, is_enough = HELD[held]
    issued = mint_key(world.machine, scopes=scopes)
    expected = key_decision(issued) if is_enough else missing("sandbox:write")
    everywhere([key_header(issued)], expected, SCOPED_INTEGRATIONS)


def test_login_that_is_given_every_scope_has_every_scope(world: World) -> None:
    everywhere([world.bearer], login_decision(world.login), SCOPED_INTEGRATIONS)
    narrow = logged_in(world.ada, scope="sandbox:read")
    everywhere([login_header(narrow)], missing("sandbox:write", "Bearer"), SCOPED_INTEGRATIONS)


@pytest.mark.parametrize("kind", ["", "a"], ids=["sync", "async"])
def test_human_has_the_scopes_that_login_scopes_gives_now(kind: str, world: World) -> None:
    group = Group.objects.create(name=login_scopes.GROUP)
    everything = login_decision(world.login)
    with pikku_settings(LOGIN_SCOPES=f"tests.login_scopes.{kind}by_group"):
        everywhere([world.bearer], everything._replace(scopes=("sandbox:read",)))
        everywhere([world.bearer], missing("sandbox:write", "Bearer"), SCOPED_INTEGRATIONS)
        world.ada.groups.add(group)
        both = everything._replace(scopes=("sandbox:read", "sandbox:write"))
        everywhere([world.bearer], both, SCOPED_INTEGRATIONS)


@pytest.mark.parametrize("asked", ["", "sandbox:write"])
def test_ordinary_human_has_no_scope_of_the_application_by_default(
    asked: str, world: World
) -> None:
    login = logged_in(world.ada, scope=asked)
    with pikku_settings(LOGIN_SCOPES=DEFAULTS["LOGIN_SCOPES"]):
        everywhere([login_header(login)], missing("sandbox:write", "Bearer"), SCOPED_INTEGRATIONS)


@pytest.mark.parametrize("kind", ["", "a"], ids=["sync", "async"])
def test_human_who_may_not_log_in_is_refused(kind: str, world: World) -> None:
    with pikku_settings(LOGIN_SCOPES=f"tests.login_scopes.{kind}nobody"):
        everywhere([world.bearer], BAD_TOKEN)
        everywhere([world.bearer], BAD_TOKEN, SCOPED_INTEGRATIONS)


@pytest.mark.parametrize("name", ["fail", "afail", "not_there"])
def test_mistake_in_login_scopes_is_an_error_and_no_decision(name: str, world: World) -> None:
    with pikku_settings(LOGIN_SCOPES=f"tests.login_scopes.{name}"):
        everywhere([world.bearer], CRASH, HTTP_INTEGRATIONS)


# --- Where the metadata is (RFC 9728, 5.1) ------------------------------------------------------

METADATA = 'resource_metadata="https://app.example.com/.well-known/oauth-protected-resource"'


@pytest.mark.parametrize(
    ("request_of", "challenge"),
    [
        (lambda w: [("x-api-key", "nonsense")], f'ApiKey realm="api", {METADATA}'),
        (
            lambda w: [("Authorization", "Bearer pks_nonsense")],
            f'Bearer realm="api", error="invalid_token", {METADATA}',
        ),
        (lambda w: [], f'ApiKey realm="api", {METADATA}, Bearer realm="api", {METADATA}'),
    ],
    ids=["bad key", "bad token", "nothing"],
)
def test_challenge_says_where_the_metadata_is(
    request_of: Request, challenge: str, world: World, settings: Settings
) -> None:
    settings.ROOT_URLCONF = "tests.integrations.urls"
    with pikku_settings(ISSUER="https://app.example.com"):
        headers = request_of(world)
        # Those that demand no scope may let in who presents nothing.
        integrations = [INTEGRATIONS, SCOPED_INTEGRATIONS] if headers else [SCOPED_INTEGRATIONS]
        for some in integrations:
            decisions = {name: ask(headers) for name, ask in some.items()}
            found = {name: (one.status, one.challenge) for name, one in decisions.items()}
            assert found == dict.fromkeys(some, (401, challenge))


def test_challenge_names_no_metadata_that_is_not_there(world: World) -> None:
    with pikku_settings(ISSUER="https://app.example.com"):
        assert INTEGRATIONS["Channels"]([("x-api-key", "nonsense")]) == BAD_KEY


def test_login_endpoints_say_where_the_metadata_is(settings: Settings) -> None:
    settings.ROOT_URLCONF = (
        path(".well-known/", include("pikku_auth.well_known")),
        path("auth/", include("pikku_auth.urls")),
    )
    with pikku_settings(ISSUER="https://app.example.com"):
        answer = Client().get("/auth/list-sessions")
    assert answer["WWW-Authenticate"] == f'Bearer realm="api", {METADATA}'


def test_a_missing_scope_costs_no_secret_its_refusal(world: World) -> None:
    """A bad key is a bad key first."""
    everywhere([("x-api-key", "nonsense")], BAD_KEY, SCOPED_INTEGRATIONS)


def test_a_call_counts_once_at_every_door(world: World) -> None:
    issued = mint_key(world.machine, quota=100)
    everywhere([key_header(issued)], key_decision(issued))
    issued.key.refresh_from_db()
    assert issued.key.remaining == 100 - len(INTEGRATIONS)
