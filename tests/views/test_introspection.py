"""``POST introspect`` (RFC 7662): what a resource server is told, and what it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import OperationalError, connection, connections
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from pikku_auth import signals
from pikku_auth.conf import conf
from pikku_auth.core.delegation import Delegation
from pikku_auth.core.limits import Rate
from pikku_auth.core.secrets import Secret, generate
from pikku_auth.flows import (
    IssuedKey,
    create_service_user,
    deactivate_service_user,
    disable_key,
    import_key,
    introspection,
    last_used,
    mint_key,
    revoke_key,
    revoke_login,
    set_service_user_scopes,
)
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.flows.keys.delegate import mint_child
from pikku_auth.flows.keys.verify import principal_of_key
from pikku_auth.models import APIKey, AuditEvent, LoginSession, ServiceUser
from pikku_auth.principal import Mapped
from pikku_auth.testing import key_headers
from tests import mappings
from tests.conftest import IN_KEY_HEADER, pikku_settings
from tests.logins import bearer, logged_in
from tests.profiles import fewer

pytestmark = pytest.mark.django_db

Ask = Callable[..., Any]
FORM = "application/x-www-form-urlencoded"
INACTIVE = {"active": False}
ISSUER = "https://app.example.com"


def text_of(presented: IssuedKey | IssuedLogin | Secret | str) -> str:
    match presented:
        case IssuedKey(secret=secret):
            return secret.reveal()
        case IssuedLogin(token=token):
            return token.reveal()
        case Secret() as secret:
            return secret.reveal()
        case text:
            return text


@pytest.fixture
def gateway(service_user: ServiceUser) -> IssuedKey:
    """The key of a resource server that may ask about everybody."""
    return mint_key(
        create_service_user("gateway"),
        scopes=["auth:introspect", "auth:introspect_logins"],
        delegation=Delegation(("*",)),
    )


def ask_as(caller: IssuedKey | None, presented: Any, **form: Any) -> Any:
    headers = {} if caller is None else key_headers(caller)
    return posted(Client(headers=headers), {"token": text_of(presented), **form})


def posted(client: Client, form: dict[str, str]) -> Any:
    return client.post("/auth/introspect", urlencode(form), FORM)


@pytest.fixture
def ask(gateway: IssuedKey) -> Ask:
    """What the gateway is told."""

    def told(presented: Any, **form: Any) -> Any:
        answer = ask_as(gateway, presented, **form)
        assert answer.status_code == 200, answer.content
        assert answer["Cache-Control"] == "no-store"
        return answer.json()

    return told


@pytest.fixture
def login(make_user: Callable[..., Any]) -> IssuedLogin:
    return logged_in(make_user("ada"))


def post_of(text: str, content_type: str = FORM) -> dict[str, Any]:
    return {"data": text, "content_type": content_type}


# --- What is told of an active one -------------------------------------------------------------


def test_active_key_is_described(ask: Ask, mint: Any) -> None:
    issued = mint(scopes=["sandbox:write", "sandbox:read"], metadata={"sandbox": 1})
    key, user = issued.key, issued.key.service_user.user
    assert ask(issued) == {
        "active": True,
        "scope": "sandbox:read sandbox:write",
        "client_id": "sandbox-runtime",
        "username": user.get_username(),
        "token_type": "ApiKey",
        "exp": int(key.expires_at.timestamp()),
        "iat": int(key.created_at.timestamp()),
        "sub": str(user.pk),
        "key_id": str(key.pk),
        "service_user": "sandbox-runtime",
    }


def test_active_login_is_described(ask: Ask, login: IssuedLogin) -> None:
    row = login.login
    assert ask(login) == {
        "active": True,
        "scope": "*",
        "client_id": "pikku-cli",
        "username": row.user.get_username(),
        "token_type": "Bearer",
        "exp": int(row.expires_at.timestamp()),
        "iat": int(row.created_at.timestamp()),
        "sub": str(row.user_id),
    }


def test_end_of_a_login_is_never_past_its_latest(ask: Ask, login: IssuedLogin) -> None:
    with pikku_settings(LOGIN_MAX_LIFETIME=timedelta(hours=1)):
        latest = login.login.created_at + timedelta(hours=1)
        assert ask(login)["exp"] == int(latest.timestamp())
    with pikku_settings(LOGIN_MAX_LIFETIME=None):
        assert ask(login)["exp"] == int(login.login.expires_at.timestamp())


def test_key_without_end_has_no_exp(ask: Ask, mint: Any) -> None:
    told = ask(mint(lifetime=None))
    assert told["active"] is True
    assert "exp" not in told
    assert told["scope"] == ""


def test_issuer_is_told_if_there_is_one(ask: Ask, mint: Any, login: IssuedLogin) -> None:
    issued = mint()
    with pikku_settings(ISSUER=ISSUER):
        assert (ask(issued)["iss"], ask(login)["iss"]) == (ISSUER, ISSUER)


def test_scopes_are_those_that_the_key_has_now(ask: Ask, mint: Any) -> None:
    issued = mint(scopes=["sandbox:*"])
    set_service_user_scopes(issued.key.service_user, ["sandbox:read"])
    assert ask(issued)["scope"] == "sandbox:read"


def test_metadata_and_claims_are_told_to_who_asks(ask: Ask, mint: Any, login: IssuedLogin) -> None:
    issued = mint(metadata={"sandbox": 1})
    assert ask(issued, metadata="true")["metadata"] == {"sandbox": 1}
    assert (
        ask(login, metadata="true", claims="true").items() >= {"metadata": {}, "claims": {}}.items()
    )
    with pikku_settings(MAP_KEY="tests.mappings.note"):
        told = ask(issued, claims="true")
        assert told["claims"] == {"tenant": None, "credential": issued.key.pk}
        assert "metadata" not in told
        told = ask(issued, claims="false", metadata="false")
        assert {"metadata", "claims"}.isdisjoint(told)


def model_in_claims(key: APIKey, _request: Any) -> Mapped:
    return Mapped({"key": key})


def test_claims_that_are_no_json_are_an_error_of_the_host(gateway: IssuedKey, mint: Any) -> None:
    issued = mint()
    with pikku_settings(MAP_KEY=f"{__name__}.model_in_claims"):
        assert ask_as(gateway, issued).status_code == 200
        with pytest.raises(TypeError, match="APIKey"):
            ask_as(gateway, issued, claims="true")


def test_hint_and_what_is_not_known_are_ignored(ask: Ask, mint: Any, login: IssuedLogin) -> None:
    for hint in ("access_token", "refresh_token", "nonsense", ""):
        assert ask(mint(), token_type_hint=hint, client_id="x")["token_type"] == "ApiKey"
        assert ask(login, token_type_hint=hint, resource="x")["token_type"] == "Bearer"


def test_imported_key_is_described(ask: Ask, service_user: ServiceUser) -> None:
    digest = sha256(b"of-another-system").hexdigest()
    import_key(service_user, digest=digest, preview="of-an")
    assert ask("of-another-system") == INACTIVE
    with pikku_settings(IMPORTED_KEYS=IN_KEY_HEADER):
        assert ask("of-another-system")["active"] is True


# --- What is not active ------------------------------------------------------------------------


def ended(**changes: Any) -> Callable[[IssuedKey], Any]:
    return lambda issued: APIKey.objects.filter(pk=issued.key.pk).update(**changes)


DEAD_KEYS: dict[str, Callable[[IssuedKey], Any]] = {
    "revoked": lambda issued: revoke_key(issued.key),
    "disabled": lambda issued: disable_key(issued.key),
    "expired": ended(expires_at=timezone.now()),
    "suspended": ended(is_suspended=True),
    "its quota is used up": ended(remaining=0),
    "of a stopped service user": lambda issued: deactivate_service_user(issued.key.service_user),
    "of a deleted user": lambda issued: issued.key.service_user.user.delete(),
}


@pytest.mark.parametrize("how", DEAD_KEYS)
def test_dead_key_is_inactive(ask: Ask, mint: Any, how: str) -> None:
    issued = mint()
    assert ask(issued)["active"] is True
    DEAD_KEYS[how](issued)
    for count in ("true", "false"):
        assert ask(issued, count=count, metadata="true", claims="true") == INACTIVE


def expired_login(login: IssuedLogin) -> None:
    LoginSession.objects.update(expires_at=login.login.created_at)


def deactivated(login: IssuedLogin) -> None:
    login.login.user.is_active = False
    login.login.user.save()


@pytest.mark.parametrize(
    "end",
    [
        lambda login: revoke_login(login.login),
        expired_login,
        deactivated,
        lambda login: login.login.user.delete(),
    ],
)
def test_dead_login_is_inactive(ask: Ask, login: IssuedLogin, end: Any) -> None:
    end(login)
    assert ask(login) == INACTIVE


def test_login_of_who_may_not_log_in_is_inactive(ask: Ask, login: IssuedLogin) -> None:
    with pikku_settings(LOGIN_SCOPES="tests.login_scopes.nobody"):
        assert ask(login) == INACTIVE


@pytest.mark.parametrize(
    "text",
    ["nonsense", "pka_", "pks_bad", "pka_" + "0" * 49, "x" * 200, "\x00", "ü", "a b", "*", "7"],
)
def test_what_is_no_credential_is_inactive(ask: Ask, text: str) -> None:
    assert ask(text) == INACTIVE


@pytest.mark.parametrize("prefix", ["pka", "pks", "pkt"])
def test_unknown_credential_is_inactive(ask: Ask, prefix: str) -> None:
    assert ask(generate(prefix)) == INACTIVE


def test_child_stops_with_its_parent(ask: Ask, mint: Any) -> None:
    parent = mint(scopes=["auth:mint", "sandbox:read"])
    child = mint_child(principal_of_key(parent.key), "sandbox-runtime", scopes=["sandbox:read"])
    assert ask(child)["scope"] == "sandbox:read"
    disable_key(parent.key)
    assert ask(child) == INACTIVE


# --- For whom ----------------------------------------------------------------------------------


def test_key_is_told_to_its_own_service_user_and_to_those_that_a_delegation_names(
    mint: Any, service_user: ServiceUser
) -> None:
    other = mint_key(create_service_user("other"))
    own = mint(scopes=["auth:introspect"])
    named = mint(scopes=["auth:introspect"], delegation=Delegation(("other",)))
    for caller, is_told in ((own, False), (named, True)):
        assert ask_as(caller, mint()).json()["active"] is True
        assert ask_as(caller, other).json()["active"] is is_told


def test_key_of_another_is_not_counted_for_who_may_not_ask(mint: Any) -> None:
    other = mint_key(create_service_user("other"), quota=1)
    caller = mint(scopes=["auth:introspect"])
    assert ask_as(caller, other, count="true").json() == INACTIVE
    other.key.refresh_from_db()
    assert other.key.remaining == 1


def test_logins_are_told_by_their_own_scope_alone(mint: Any, login: IssuedLogin) -> None:
    of_keys, of_logins = mint(scopes=["auth:introspect"]), mint(scopes=["auth:introspect_logins"])
    assert ask_as(of_keys, login).json() == INACTIVE
    assert ask_as(of_logins, login).json()["active"] is True
    assert ask_as(of_logins, mint()).json() == INACTIVE
    assert ask_as(mint(scopes=["auth:*"]), login).json()["active"] is True


@pytest.mark.parametrize("scopes", [[], ["*"], ["sandbox:read"], ["auth:read"], ["perm:*"]])
def test_caller_without_the_scope_is_told_which(mint: Any, scopes: list[str]) -> None:
    answer = ask_as(mint(scopes=scopes), mint())
    assert answer.status_code == 403
    assert answer.json()["error"] == "insufficient_scope"
    challenge = 'ApiKey realm="api", error="insufficient_scope", scope="auth:introspect"'
    assert answer["WWW-Authenticate"] == challenge


def test_caller_without_a_good_key_is_challenged(mint: Any, login: IssuedLogin) -> None:
    caller = mint(scopes=["auth:introspect"])
    presented = {"token": text_of(mint())}
    for headers in (
        {},
        {"x-api-key": ""},
        {"x-api-key": "nonsense"},
        {"x-api-key": generate("pka").reveal()},
        bearer(login),
        {"Authorization": f"Bearer {text_of(caller)}"},
        {"x-api-key": "nonsense", **bearer(login)},
    ):
        answer = posted(Client(headers=headers), presented)
        assert answer.status_code == 401
        assert answer.json()["error"] == "invalid_client"
        assert answer["WWW-Authenticate"] == 'ApiKey realm="api"'
        assert answer["Cache-Control"] == "no-store"


def test_key_in_the_other_header_is_told_where_it_belongs(mint: Any) -> None:
    headers = {"Authorization": f"Bearer {text_of(mint(scopes=['auth:introspect']))}"}
    answer = posted(Client(headers=headers), {"token": "x"})
    assert "send it in the header x-api-key" in answer.json()["error_description"]


def test_challenge_says_where_the_metadata_is() -> None:
    urls = override_settings(ROOT_URLCONF="tests.views.with_well_known")
    with urls, pikku_settings(ISSUER=ISSUER):
        answer = ask_as(None, "x")
    metadata = f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource"'
    assert answer["WWW-Authenticate"] == f'ApiKey realm="api", {metadata}'


def test_resource_server_may_ask_about_its_own_key(mint: Any) -> None:
    caller = mint(scopes=["auth:introspect"])
    assert ask_as(caller, caller).json()["scope"] == "auth:introspect"


def test_own_limits_of_the_caller_hold(mint: Any) -> None:
    caller, presented = mint(scopes=["auth:introspect"], quota=1), mint()
    assert ask_as(caller, presented).status_code == 200
    answer = ask_as(caller, presented)
    assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
    assert "Retry-After" not in answer
    caller = mint(scopes=["auth:introspect"], rate=Rate(1, timedelta(weeks=5_000)))
    ask_as(caller, presented)
    assert int(ask_as(caller, presented)["Retry-After"]) > 0


def test_own_networks_of_the_caller_hold(mint: Any) -> None:
    answer = ask_as(mint(scopes=["auth:introspect"], networks=["192.0.2.0/24"]), mint())
    assert (answer.status_code, answer.json()["error"]) == (403, "network_not_allowed")


# --- From where --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source_ip", "is_active"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("198.51.100.7", False),
        ("2001:db8::1", False),
        (None, False),
        ("", False),
    ],
)
@pytest.mark.parametrize("count", ["true", "false"])
def test_key_with_networks_is_active_from_there_only(
    ask: Ask, mint: Any, source_ip: str | None, count: str, is_active: bool
) -> None:
    form = {"count": count} if source_ip is None else {"count": count, "source_ip": source_ip}
    assert ask(mint(networks=["192.0.2.0/24"]), **form)["active"] is is_active


def test_address_of_the_resource_server_is_not_that_of_the_caller(ask: Ask, mint: Any) -> None:
    assert ask(mint(networks=["127.0.0.1"])) == INACTIVE


def test_networks_of_the_parent_hold(ask: Ask, mint: Any) -> None:
    parent = mint(scopes=["auth:mint"], networks=["192.0.2.0/24"])
    child = mint_child(principal_of_key(parent.key), "sandbox-runtime")
    assert ask(child, source_ip="192.0.2.7")["active"] is True
    assert ask(child, source_ip="198.51.100.7") == INACTIVE
    assert ask(child) == INACTIVE


# --- What is counted ---------------------------------------------------------------------------


def remaining(issued: IssuedKey) -> int | None:
    issued.key.refresh_from_db()
    return issued.key.remaining


def test_nothing_is_counted_unless_asked_to(ask: Ask, mint: Any) -> None:
    issued = mint(quota=2)
    for _ in range(3):
        assert ask(issued)["active"] is True
    assert remaining(issued) == 2


def test_calls_are_counted_where_asked_to(ask: Ask, mint: Any) -> None:
    issued = mint(quota=2)
    told = [ask(issued, count="true")["active"] for _ in range(3)]
    assert told == [True, True, False]
    assert remaining(issued) == 0
    assert ask(issued) == INACTIVE


def test_rate_is_held(ask: Ask, mint: Any) -> None:
    issued = mint(rate=Rate(1, timedelta(weeks=5_000)))
    assert ask(issued, count="true")["active"] is True
    assert ask(issued, count="true") == INACTIVE
    assert ask(issued) == INACTIVE


def test_inactive_one_is_not_counted(ask: Ask, mint: Any) -> None:
    issued = mint(quota=2, networks=["192.0.2.0/24"])
    assert ask(issued, count="true") == INACTIVE
    assert remaining(issued) == 2


def test_use_is_noted_where_it_counts(ask: Ask, mint: Any, login: IssuedLogin) -> None:
    issued = mint()
    for presented, row in ((issued, issued.key), (login, login.login)):
        ask(presented, source_ip="192.0.2.7")
        last_used.flush()
        row.refresh_from_db()
        assert (row.last_used_at, row.last_used_ip) == (None, None)
        ask(presented, source_ip="192.0.2.7", count="true")
        last_used.flush()
        row.refresh_from_db()
        assert row.last_used_at is not None
        assert row.last_used_ip == "192.0.2.7"


def test_use_moves_the_end_of_a_login_on(ask: Ask, login: IssuedLogin) -> None:
    long_ago = timezone.now() - conf.login_renewal
    LoginSession.objects.update(renewed_at=long_ago)
    ask(login)
    last_used.flush()
    assert LoginSession.objects.get().renewed_at == long_ago
    ask(login, count="true")
    last_used.flush()
    assert LoginSession.objects.get().renewed_at > long_ago


def test_question_writes_nothing(ask: Ask, mint: Any, login: IssuedLogin) -> None:
    issued = mint(quota=5, rate=Rate(5, timedelta(days=1)))
    ask(issued)  # which notes the use of the gateway's own key
    last_used.flush()
    events = AuditEvent.objects.count()
    for presented in (issued, login):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            ask(presented)
        assert [query["sql"].split()[0] for query in queries] == ["SELECT", "SELECT"]
    assert AuditEvent.objects.count() == events


@pytest.mark.django_db(transaction=True)
def test_quota_of_ten_is_ten_for_forty_questions_at_once(gateway: IssuedKey, mint: Any) -> None:
    issued = mint(quota=10)

    def told(_: int) -> bool:
        try:
            return bool(ask_as(gateway, issued, count="true").json()["active"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(told, range(40))) == 10
    assert remaining(issued) == 0


# --- The mapping -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "a"], ids=["sync", "async"])
def test_who_the_mapping_rejects_is_inactive_and_not_counted(
    gateway: IssuedKey, mint: Any, login: IssuedLogin, kind: str
) -> None:
    issued = mint(quota=1)
    reject = f"{__name__}.{kind}reject_all_but_the_gateway"
    with pikku_settings(MAP_KEY=reject, MAP_LOGIN=f"tests.mappings.{kind}reject"):
        for presented in (issued, login):
            assert ask_as(gateway, presented, count="true").json() == INACTIVE
    assert remaining(issued) == 1


def reject_all_but_the_gateway(key: APIKey, _request: Any) -> Mapped | None:
    return Mapped() if key.service_user.name == "gateway" else None


async def areject_all_but_the_gateway(key: APIKey, request: Any) -> Mapped | None:
    return reject_all_but_the_gateway(key, request)


def narrow_all_but_the_gateway(key: APIKey, _request: Any) -> Mapped:
    return Mapped(scopes=None if key.service_user.name == "gateway" else ["sandbox:read"])


def test_who_the_mapping_narrows_is_narrowed(ask: Ask, mint: Any, login: IssuedLogin) -> None:
    issued = mint(scopes=["sandbox:*"])
    narrow = f"{__name__}.narrow_all_but_the_gateway"
    with pikku_settings(MAP_KEY=narrow, MAP_LOGIN="tests.mappings.narrow"):
        assert ask(issued)["scope"] == ask(login)["scope"] == "sandbox:read"


def test_mapping_is_asked_with_the_request_of_the_resource_server(
    gateway: IssuedKey, mint: Any
) -> None:
    issued = mint()
    mappings.seen.clear()
    with pikku_settings(MAP_KEY="tests.mappings.note"):
        client = Client(headers={**key_headers(gateway), "X-Tenant": "one"})
        form = {"token": text_of(issued), "claims": "true"}
        told = posted(client, form).json()
    (_, first), (key, second) = mappings.seen
    assert first is second
    assert second.path == "/auth/introspect"
    assert not second.POST
    assert key == issued.key
    assert told["claims"]["tenant"] == "one"


@pytest.mark.parametrize("mistake", ["widen", "fail", "mistake"])
def test_mistake_in_the_mapping_is_an_error_and_no_answer(
    gateway: IssuedKey, login: IssuedLogin, mistake: str
) -> None:
    LoginSession.objects.update(permissions={"sandbox": ["read"]})
    client = Client(headers=key_headers(gateway), raise_request_exception=False)
    with pikku_settings(MAP_LOGIN=f"tests.mappings.{mistake}"):
        answer = posted(client, {"token": text_of(login)})
    assert answer.status_code == 500


# --- Forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (post_of(""), "token is required"),
        (post_of("token="), "token is required"),
        (post_of("token_type_hint=access_token"), "token is required"),
        (post_of("token=a&token=b"), "token must not be repeated"),
        (post_of("token=a&count=true&count=true"), "count must not be repeated"),
        (post_of("token=a&source_ip=192.0.2.1&source_ip=192.0.2.2"), "source_ip must not be"),
        (post_of("token=a&source_ip=192.0.2.1:80"), "source_ip is not an IP address"),
        (post_of("token=a&source_ip=192.0.2.0/24"), "source_ip is not an IP address"),
        (post_of("token=a&source_ip=localhost"), "source_ip is not an IP address"),
        (post_of("token=a&count=1"), "count is neither true nor false"),
        (post_of("token=a&metadata=yes"), "metadata is neither true nor false"),
        (post_of("token=a&claims=True"), "claims is neither true nor false"),
        (post_of('{"token": "a"}', "application/json"), f"Send a form, as {FORM}"),
        (post_of("token=a", f"{FORM}; charset=utf-16"), "The form can't be read"),
        (post_of("token=a&" + "a=1&" * 1_001), "The form can't be read"),
        (post_of("token=" + "a" * 3_000_000), "The form can't be read"),
        (post_of("token=a", "text/plain"), f"Send a form, as {FORM}"),
        (post_of("token=a", "multipart/form-data; boundary=x"), f"Send a form, as {FORM}"),
    ],
)
def test_malformed_request_is_told_what_is_wrong(
    gateway: IssuedKey, body: dict[str, Any], wrong: str
) -> None:
    answer = Client(headers=key_headers(gateway)).post("/auth/introspect", **body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert answer.json()["error_description"].startswith(wrong)
    assert set(answer.json()) == {"error", "error_description"}


@given(body=st.binary(max_size=60))
@fewer(50)
@example(body=b"token=%ff&source_ip=%00")
@example(body=b"token=%00&token_type_hint=%ff")
@pytest.mark.parametrize("path", ["introspect", "revoke"])
def test_no_form_is_an_error_of_the_server(path: str, body: bytes) -> None:
    assert Client().post(f"/auth/{path}", body, FORM).status_code in (200, 400, 401)
    assert Client().post(f"/auth/{path}", b"token=" + body, FORM).status_code in (200, 400, 401)


def test_other_methods_are_not_there(gateway: IssuedKey) -> None:
    client = Client(headers=key_headers(gateway))
    assert client.get("/auth/introspect", {"token": "x"}).status_code == 404


# --- Alarms and bounds -------------------------------------------------------------------------


@pytest.fixture
def refused() -> Iterator[list[Any]]:
    told: list[Any] = []

    def receive(*, reason: str, ip: str | None, **_: Any) -> None:
        told.append((reason, ip))

    signals.key_refused.connect(receive)
    yield told
    signals.key_refused.disconnect(receive)


def test_dead_key_that_is_presented_elsewhere_is_an_alarm(
    ask: Ask, mint: Any, refused: list[Any]
) -> None:
    issued = mint()
    revoke_key(issued.key)
    ask(issued, source_ip="::ffff:192.0.2.7")
    assert refused == [("revoked", "192.0.2.7")]


def test_caller_that_asks_about_too_many_inactive_ones_is_slowed_down(
    gateway: IssuedKey, mint: Any, login: IssuedLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "INACTIVE_ONES", Rate(3, timedelta(minutes=1)))
    good, dead = mint(), mint()
    revoke_key(dead.key)
    for presented in (dead, generate("pka"), generate("pks")):
        assert ask_as(gateway, presented).json() == INACTIVE
    answer = ask_as(gateway, dead)
    assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")
    assert int(answer["Retry-After"]) > 0
    for presented in (good, login):
        assert ask_as(gateway, presented).json()["active"] is True
    assert ask_as(gateway, "nonsense").json() == INACTIVE  # the database isn't asked for that
    other = mint(scopes=["auth:introspect"])
    assert ask_as(other, dead).json() == INACTIVE


@pytest.mark.django_db(transaction=True)
def test_outage_says_nothing_of_the_credential(gateway: IssuedKey, mint: Any) -> None:
    issued = mint()
    for statement in (0, 1):
        turns = iter([*[False] * statement, True])

        def fail(execute: Any, *args: Any, turns: Any = turns) -> Any:
            if next(turns, False):
                raise OperationalError("gone")  # and what comes then gets through
            return execute(*args)

        with connection.execute_wrapper(fail):
            answer = ask_as(gateway, issued)
        assert answer.status_code == 503
        assert answer.json()["error"] == "temporarily_unavailable"
        assert "Retry-After" in answer
