"""One authentication class: who gets in, who is refused, and how it is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.db import OperationalError, connection
from django.http import JsonResponse
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_headers
from rest_framework.authtoken.models import Token
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory
from rest_framework_simplejwt.tokens import AccessToken

from pikku_auth.core.limits import parse_rate
from pikku_auth.core.secrets import generate
from pikku_auth.flows import IssuedKey, deactivate_service_user, disable_key, revoke_key
from pikku_auth.models import APIKey
from pikku_auth.rest_framework import PikkuAuthentication
from pikku_auth.testing import key_headers
from tests.cases import in_turn
from tests.conftest import pikku_settings
from tests.host_views import WhoAmI

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
UNKNOWN = generate("pka").reveal()
WHOAMI = "/test/whoami/"


def get(api: APIClient, key: str | None, path: str = WHOAMI, **headers: str) -> Response:
    given = headers if key is None else {"x-api-key": key, **headers}
    return api.get(path, headers=given)


def test_a_good_key_authenticates_its_service_user(api: APIClient, mint: Mint) -> None:
    issued = mint()
    response = get(api, issued.secret.reveal())
    assert response.status_code == 200
    assert response.json() == {"user": str(issued.key.service_user.user.pk), "auth": "Principal"}


def test_the_header_may_be_named_otherwise(api: APIClient, mint: Mint) -> None:
    issued = mint()
    with pikku_settings(KEY_HEADER="X-Machine-Key"):
        assert get(api, None, **{"X-Machine-Key": issued.secret.reveal()}).status_code == 200
        assert get(api, issued.secret.reveal()).status_code == 401


def test_a_key_outside_its_header_is_not_looked_at(api: APIClient, mint: Mint) -> None:
    secret = mint().secret.reveal()
    api.cookies["x-api-key"] = secret
    in_query = api.get(WHOAMI, {"x-api-key": secret, "api_key": secret})
    in_body = api.post(WHOAMI, {"x-api-key": secret, "api_key": secret})
    assert (in_query.status_code, in_body.status_code) == (401, 401)


# The grid of T20: no bad key header falls through to whatever else is in the request.


@pytest.fixture
def bad_keys(mint: Mint) -> dict[str, str]:
    revoked, expired, disabled, good = mint(), mint(), mint(), mint()
    revoke_key(revoked.key)
    APIKey.objects.filter(pk=expired.key.pk).update(expires_at=expired.key.created_at)
    disable_key(disabled.key)
    text = good.secret.reveal()
    return {
        "empty": "",
        "spaces": "   ",
        "malformed": "nonsense",
        "truncated": text[:-1],
        "mistyped": text[:-1] + ("0" if text[-1] != "0" else "1"),
        "wrong prefix": "pkx_" + text[4:],
        "upper case": text.upper(),
        "unknown": UNKNOWN,
        "revoked": revoked.secret.reveal(),
        "expired": expired.secret.reveal(),
        "disabled": disabled.secret.reveal(),
        "twice": f"{text},{text}",
        "good and bad": f"{text},nonsense",
        "bad and good": f"nonsense, {text}",
        "trailing space inside": f"{text} {text}",
        "not ASCII": "ключ",
        "latin-1": text + "\xff",
        "NUL": text + "\0",
        "newline": text + "\n",
        "8 KB": "k" * 8192,
        "1 MB": "k" * 1_048_576,
        "1 MB with our prefix": "pka_" + "k" * 1_048_576,
    }


@pytest.fixture
def credentials(make_user: Callable[..., Any]) -> dict[str, dict[str, str]]:
    person = make_user()
    return {
        "nothing": {},
        "a DRF token": {"Authorization": f"Token {Token.objects.create(user=person).key}"},
        "a JWT": {"Authorization": f"Bearer {AccessToken.for_user(person)}"},
    }


BAD_KEYS = [
    "empty", "spaces", "malformed", "truncated", "mistyped", "wrong prefix", "upper case",
    "unknown", "revoked", "expired", "disabled", "twice", "good and bad", "bad and good",
    "trailing space inside", "not ASCII", "latin-1", "NUL", "newline", "8 KB",
    "1 MB", "1 MB with our prefix",
]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "beside", "cookie"),
    in_turn(BAD_KEYS, ["nothing", "a DRF token", "a JWT"], [False, True]),
)
def test_a_bad_key_is_refused_whatever_good_credential_is_beside_it(
    api: APIClient,
    bad_keys: dict[str, str],
    credentials: dict[str, dict[str, str]],
    make_user: Callable[..., Any],
    bad: str,
    beside: str,
    cookie: bool,
) -> None:
    if cookie:
        api.force_login(make_user("grace"), "django.contrib.auth.backends.ModelBackend")
    for path in (WHOAMI, "/test/public/"):
        response = get(api, bad_keys[bad], path, **credentials[beside])
        assert response.status_code == 401
        assert response.json() == {"detail": "Invalid API key.", "code": "invalid_key"}
        assert response["WWW-Authenticate"] == 'ApiKey realm="api"'


def test_refusals_of_bad_keys_are_the_same_byte_for_byte(
    api: APIClient, bad_keys: dict[str, str]
) -> None:
    answers = {
        (response.status_code, response.content, str(sorted(response.headers.items())))
        for response in (get(api, text) for text in bad_keys.values())
    }
    assert len(answers) == 1


@pytest.mark.parametrize("beside", ["a DRF token", "a JWT"])
def test_a_good_key_decides_even_beside_another_good_credential(
    api: APIClient, mint: Mint, credentials: dict[str, dict[str, str]], beside: str
) -> None:
    issued = mint()
    response = get(api, issued.secret.reveal(), **credentials[beside])
    assert response.json()["user"] == str(issued.key.service_user.user.pk)


@pytest.mark.parametrize(("beside", "auth"), [("a DRF token", "Token"), ("a JWT", "AccessToken")])
def test_other_credentials_work_as_ever_without_a_key(
    api: APIClient, credentials: dict[str, dict[str, str]], beside: str, auth: str
) -> None:
    assert get(api, None, **credentials[beside]).json()["auth"] == auth


def test_a_session_works_as_ever_without_a_key(
    api: APIClient, make_user: Callable[..., Any]
) -> None:
    person = make_user()
    api.force_login(person, "django.contrib.auth.backends.ModelBackend")
    assert get(api, None).json() == {"user": str(person.pk), "auth": "NoneType"}


class TestBearer:
    """``Authorization: Bearer``: the human's header."""

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
    def test_a_key_in_it_is_refused(self, api: APIClient, mint: Mint, scheme: str) -> None:
        response = get(api, None, Authorization=f"{scheme} {mint().secret.reveal()}")
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'

    def test_a_token_of_our_format_that_nobody_has_is_refused(self, api: APIClient) -> None:
        response = get(api, None, Authorization="Bearer pks_" + "0" * 49)
        assert response.status_code == 401
        assert response.json() == {"detail": "Invalid or expired login.", "code": "invalid_token"}

    @pytest.mark.parametrize("header", ["pks_", "Token pks_1", "Basic cGth,Bearer pks_1"])
    def test_ours_anywhere_but_in_a_lone_bearer_is_refused(
        self, api: APIClient, header: str
    ) -> None:
        response = get(api, None, "/test/public/", Authorization=header)
        assert (response.status_code, response.json()["detail"]) == (
            401,
            "Invalid or expired login.",
        )

    def test_a_good_key_beside_a_bad_one_of_ours_decides(self, api: APIClient, mint: Mint) -> None:
        issued = mint()
        headers = {"Authorization": "Bearer pks_" + "0" * 49}
        assert get(api, issued.secret.reveal(), **headers).status_code == 200

    @pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWRhOjE="])
    def test_what_is_not_of_our_format_is_left_to_others(self, api: APIClient, header: str) -> None:
        response = get(api, None, "/test/public/", Authorization=header)
        assert response.json()["detail"] if response.status_code == 401 else response.json()
        assert "Invalid or expired login" not in response.content.decode()


def test_without_any_credential_the_challenge_names_both_schemes_and_no_error(
    api: APIClient,
) -> None:
    response = get(api, None)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'ApiKey realm="api", Bearer realm="api"'
    assert response["Cache-Control"] == "no-store"


def test_a_subclass_may_name_the_realm() -> None:
    class Ours(PikkuAuthentication):
        www_authenticate_realm = "sandboxes"

    view = type("View", (WhoAmI,), {"authentication_classes": [Ours]})
    request = APIRequestFactory().get("/", headers={"x-api-key": "nonsense"})
    assert view.as_view()(request)["WWW-Authenticate"] == 'ApiKey realm="sandboxes"'


class TestOtherStatuses:
    """What is not about the key's being good."""

    def test_a_network_that_is_not_allowed_is_403(self, api: APIClient, mint: Mint) -> None:
        issued = mint(networks=["192.0.2.0/24"])
        response = get(api, issued.secret.reveal())
        assert response.status_code == 403
        assert response.json() == {
            "detail": "This API key may not be used from this network.",
            "code": "network_not_allowed",
        }

    def test_the_peer_of_the_connection_is_the_caller(self, api: APIClient, mint: Mint) -> None:
        issued = mint(networks=["192.0.2.0/24"])
        headers = {"x-api-key": issued.secret.reveal()}
        assert api.get(WHOAMI, headers=headers, REMOTE_ADDR="192.0.2.9").status_code == 200

    @pytest.mark.parametrize(
        ("num_proxies", "forwarded", "status"),
        [
            (0, "192.0.2.9", 403),
            (1, "192.0.2.9", 200),
            (1, "192.0.2.9, 198.51.100.1", 403),
            (2, "192.0.2.9, 10.0.0.1", 200),
            (2, "192.0.2.9", 403),
            (1, "", 403),
        ],
    )
    def test_a_forwarded_address_counts_as_far_as_there_are_proxies(
        self, api: APIClient, mint: Mint, num_proxies: int, forwarded: str, status: int
    ) -> None:
        issued = mint(networks=["192.0.2.0/24"])
        with pikku_settings(NUM_PROXIES=num_proxies):
            headers = {"X-Forwarded-For": forwarded}
            assert get(api, issued.secret.reveal(), **headers).status_code == status

    def test_a_used_up_rate_is_429_with_a_time_to_wait(self, api: APIClient, mint: Mint) -> None:
        issued = mint(rate=parse_rate("1/1000w"))
        assert get(api, issued.secret.reveal()).status_code == 200
        response = get(api, issued.secret.reveal())
        assert response.status_code == 429
        assert 0 < int(response["Retry-After"]) <= timedelta(weeks=1000).total_seconds()
        assert response.json() == {
            "detail": "This API key's limit is used up.",
            "code": "limit_exceeded",
        }

    def test_a_used_up_quota_is_429_without_a_time_to_wait(
        self, api: APIClient, mint: Mint
    ) -> None:
        issued = mint(quota=1)
        assert get(api, issued.secret.reveal()).status_code == 200
        response = get(api, issued.secret.reveal())
        assert response.status_code == 429
        assert "Retry-After" not in response

    def test_an_outage_is_503_with_a_time_to_wait(self, api: APIClient, mint: Mint) -> None:
        issued = mint()

        def outage(*_args: object) -> None:
            raise OperationalError("connection refused")

        with connection.execute_wrapper(outage):
            response = get(api, issued.secret.reveal())
        assert response.status_code == 503
        assert response["Retry-After"] == "5"
        assert response.json() == {
            "detail": "Authentication is temporarily unavailable.",
            "code": "unavailable",
        }
        assert get(api, issued.secret.reveal()).status_code == 200

    def test_a_service_user_that_is_deactivated_is_refused_at_the_next_request(
        self, api: APIClient, mint: Mint
    ) -> None:
        issued = mint()
        assert get(api, issued.secret.reveal()).status_code == 200
        deactivate_service_user(issued.key.service_user)
        assert get(api, issued.secret.reveal()).status_code == 401


@pytest.mark.parametrize("path", [WHOAMI, "/test/public/"])
def test_answers_are_not_shared_between_callers_by_a_cache(
    api: APIClient, mint: Mint, path: str
) -> None:
    varies = get(api, mint().secret.reveal(), path)["Vary"].lower().split(", ")
    assert {"x-api-key", "authorization"} <= set(varies)


class TestUnderDjangosCacheMiddleware:
    """The host caches whole pages."""

    CACHING: ClassVar = [
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]

    @pytest.fixture(autouse=True)
    def _cached(self) -> Iterator[None]:
        with override_settings(MIDDLEWARE=self.CACHING):
            yield

    def test_one_caller_never_gets_the_answer_of_another(self, api: APIClient, mint: Mint) -> None:
        issued = mint()
        assert get(api, issued.secret.reveal()).status_code == 200
        assert get(api, None).status_code == 401
        assert get(api, UNKNOWN).status_code == 401


class TestAMethodInCachePage:
    """The host caches what one method of a view answers."""

    @pytest.mark.parametrize(
        ("kind", "decorators"),
        [
            (Response, [cache_page(60)]),
            (JsonResponse, [cache_page(60), vary_on_headers("x-api-key", "Authorization")]),
        ],
    )
    def test_one_caller_never_gets_the_answer_of_another(
        self, mint: Mint, kind: Any, decorators: list[Any]
    ) -> None:
        class Cached(WhoAmI):
            permission_classes: ClassVar = []

            @method_decorator(decorators)
            def get(self, request: Request) -> Any:
                return kind({"who": str(request.auth)})

        def who(issued: IssuedKey | None) -> str:
            headers = key_headers(issued) if issued else {}
            request = APIRequestFactory().get("/", headers=headers)
            answer = Cached.as_view()(request)
            if isinstance(answer, Response):
                answer.render()
            return str(json.loads(answer.content)["who"])

        first, second = mint(), mint()
        assert who(first) == f"api_key:{first.key.pk}"
        assert who(second) == f"api_key:{second.key.pk}"
        assert who(None) == "None"


class TestUnderAtomicRequests:
    """The host wraps each view in a transaction."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture(autouse=True)
    def _atomic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    @pytest.mark.parametrize("path", [WHOAMI, "/test/refusing/", "/test/failing/"])
    def test_a_call_is_counted_and_dated_whatever_becomes_of_the_view(
        self, mint: Mint, path: str
    ) -> None:
        issued = mint(quota=5)
        get(APIClient(raise_request_exception=False), issued.secret.reveal(), path)
        key = APIKey.objects.get(pk=issued.key.pk)
        assert key.remaining == 4
        assert key.last_used_at is not None

    def test_last_used_at_is_written_after_the_view(self, api: APIClient, mint: Mint) -> None:
        issued = mint()
        with CaptureQueriesContext(connection) as queries:
            get(api, issued.secret.reveal())
        kinds = [query["sql"].split(" ")[0] for query in queries]
        assert kinds.count("UPDATE") == 1
        assert "COMMIT" in kinds[: kinds.index("UPDATE")]
        assert "SELECT" not in kinds[kinds.index("UPDATE") :]


class TestCost:
    """What a request costs."""

    def test_an_authenticated_request_is_one_select_and_no_write(
        self, api: APIClient, mint: Mint
    ) -> None:
        secret = mint(scopes=["sandbox:read"]).secret.reveal()
        get(api, secret)
        with CaptureQueriesContext(connection) as queries:
            get(api, secret)
        assert [query["sql"].split(" ")[0] for query in queries] == ["SELECT"]

    def test_a_request_without_a_credential_of_ours_is_no_sql(self, api: APIClient) -> None:
        with CaptureQueriesContext(connection) as queries:
            get(api, None)
        assert not queries.captured_queries


def test_it_authenticates_outside_of_a_view_too(mint: Mint) -> None:
    issued = mint()
    request = Request(APIRequestFactory().get("/", headers=key_headers(issued)))
    authenticated = PikkuAuthentication().authenticate(request)
    assert authenticated is not None
    assert authenticated[1].key == issued.key
