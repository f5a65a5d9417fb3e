"""A human's bearer through DRF: the truth table, and what a request costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from example_project.sandboxes.views import Sandboxes
from pikku_auth.flows import IssuedKey, revoke_login
from pikku_auth.flows.device_flow import IssuedLogin
from pikku_auth.models import LoginSession
from tests.conftest import pikku_settings
from tests.logins import BACKEND, bearer, logged_in

pytestmark = pytest.mark.django_db

WHOAMI = "/test/whoami/"
INVALID = 'Bearer realm="api", error="invalid_token"'

Mint = Callable[..., IssuedKey]
Headers = dict[str, str]


@pytest.fixture
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


@pytest.fixture
def issued(ada: Any) -> IssuedLogin:
    return logged_in(ada)


def get(api: APIClient, headers: Headers, path: str = WHOAMI) -> Response:
    return api.get(path, headers=headers)


def test_a_good_bearer_is_its_human(api: APIClient, ada: Any, issued: IssuedLogin) -> None:
    response = get(api, bearer(issued))
    assert response.status_code == 200
    assert response.json() == {"user": str(ada.pk), "auth": "Principal"}


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
def test_the_scheme_has_no_case(api: APIClient, issued: IssuedLogin, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {issued.token.reveal()}"}
    assert get(api, headers).status_code == 200


class TestBesideOtherCredentials:
    """The whole table of what decides is in ``tests/integrations``."""

    @pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
    def test_a_bearer_of_ours_decides_beside_a_cookie(
        self, api: APIClient, ada: Any, make_user: Callable[..., Any], issued: Any, good: bool
    ) -> None:
        api.force_login(make_user("grace"), BACKEND)
        if not good:
            revoke_login(issued.login)
        response = get(api, bearer(issued), "/test/public/")
        assert response.json().get("user") == (str(ada.pk) if good else None)
        assert response.status_code == (200 if good else 401)

    def test_a_bearer_and_a_cookie_need_no_csrf_token(self, ada: Any, issued: IssuedLogin) -> None:
        api = APIClient(enforce_csrf_checks=True)
        api.force_login(ada, BACKEND)
        assert api.post(WHOAMI).status_code == 403
        assert api.post(WHOAMI, headers=bearer(issued)).status_code == 200

    @pytest.mark.parametrize(("kind", "auth"), [("a DRF token", "Token"), ("a JWT", "AccessToken")])
    def test_what_is_not_ours_is_left_to_whose_it_is(
        self, api: APIClient, ada: Any, kind: str, auth: str
    ) -> None:
        given = {
            "a DRF token": f"Token {Token.objects.create(user=ada).key}",
            "a JWT": f"Bearer {AccessToken.for_user(ada)}",
        }
        response = get(api, {"Authorization": given[kind]})
        assert response.json() == {"user": str(ada.pk), "auth": auth}

    def test_a_cookie_alone_is_left_to_django(self, api: APIClient, ada: Any) -> None:
        api.force_login(ada, BACKEND)
        assert get(api, {}).json() == {"user": str(ada.pk), "auth": "NoneType"}


def spoil(how: str, issued: IssuedLogin) -> None:
    """End a login in one of the ways there are."""
    user, rows = issued.login.user, LoginSession.objects.filter(pk=issued.login.pk)
    match how:
        case "revoked":
            revoke_login(issued.login)
        case "expired":
            rows.update(expires_at=timezone.now())
        case "deactivated":
            user.is_active = False
        case "password":
            user.set_password("another-horse")
        case _:
            rows.delete()
    user.save()


@pytest.mark.parametrize("how", ["revoked", "expired", "deactivated", "password", "deleted"])
def test_a_dead_login_is_401_in_the_same_words_whatever_it_died_of(
    api: APIClient, issued: IssuedLogin, how: str
) -> None:
    assert get(api, bearer(issued)).status_code == 200
    spoil(how, issued)
    for path in (WHOAMI, "/test/public/"):
        response = get(api, bearer(issued), path)
        assert response.status_code == 401
        assert response.json() == {"detail": "Invalid or expired login.", "code": "invalid_token"}
        assert response["WWW-Authenticate"] == INVALID


@pytest.mark.parametrize(
    "token",
    [
        "pks_", "pks_x", "pks_" + "0" * 49, "pks_" + "k" * 1_000_000, "pks_ключ", "pks_\xff",
        "pks_" + "0" * 20 + " " + "0" * 28, "pka_" + "0" * 49,
    ],
)  # fmt: skip
def test_a_malformed_token_of_ours_is_401(api: APIClient, token: str) -> None:
    response = get(api, {"Authorization": f"Bearer {token}"})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, INVALID)


def test_6750_3_without_a_credential_the_challenge_has_no_error(api: APIClient) -> None:
    response = get(api, {})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'ApiKey realm="api", Bearer realm="api"'


def test_6750_3_1_a_missing_scope_is_403_and_named(api: APIClient, ada: Any) -> None:
    headers = bearer(logged_in(ada, scope="sandbox:read"))
    assert get(api, headers, "/api/sandboxes/").status_code == 200
    response = api.post("/api/sandboxes/", {"name": "mine"}, headers=headers)
    assert response.status_code == 403
    assert response.json() == {
        "detail": "Missing scope: sandbox:write.",
        "code": "insufficient_scope",
    }


def test_6750_2_a_token_in_the_query_or_the_body_is_not_looked_at(
    api: APIClient, issued: IssuedLogin
) -> None:
    given = {"access_token": issued.token.reveal()}
    assert api.get(WHOAMI, given).status_code == 401
    assert api.post(WHOAMI, given).status_code == 401


def test_without_scopes_a_login_may_what_its_human_may(api: APIClient, issued: IssuedLogin) -> None:
    assert get(api, bearer(issued), "/api/sandboxes/").status_code == 200
    response = api.post("/api/sandboxes/", {"name": "mine"}, headers=bearer(issued))
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("scope", "status"), [("", 200), ("perm:sandboxes.view_sandbox", 200), ("sandbox:read", 403)]
)
def test_a_superusers_login_is_bounded_in_djangos_terms_too(
    api: APIClient, ada: Any, monkeypatch: pytest.MonkeyPatch, scope: str, status: int
) -> None:
    class Strict(DjangoModelPermissions):
        perms_map = {**DjangoModelPermissions.perms_map, "GET": ["sandboxes.view_sandbox"]}

    monkeypatch.setattr(Sandboxes, "permission_classes", [Strict])
    ada.is_superuser = True
    ada.save()
    with pikku_settings(SCOPES=None):
        issued = logged_in(ada, scope=scope)
    assert get(api, bearer(issued), "/api/sandboxes/").status_code == status


class TestCost:
    """What a request costs."""

    def kinds(self, api: APIClient, issued: IssuedLogin) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            get(api, bearer(issued))
        statements = [query["sql"] for query in queries if "SKIP LOCKED" not in query["sql"]]
        kinds = [sql.split(" ")[0] for sql in statements]
        return [kind for kind in kinds if kind not in {"SAVEPOINT", "RELEASE"}]

    def schema(self) -> list[str]:
        """What a write asks first on PostgreSQL: which schema it would write to."""
        return ["SELECT"] if connection.vendor == "postgresql" else []

    def test_one_select_and_no_write(self, api: APIClient, issued: IssuedLogin) -> None:
        get(api, bearer(issued))
        assert self.kinds(api, issued) == ["SELECT"]

    def test_last_used_at_is_written_after_the_response_once_a_minute(
        self, api: APIClient, issued: IssuedLogin
    ) -> None:
        assert self.kinds(api, issued) == ["SELECT", *self.schema(), "UPDATE"]
        assert LoginSession.objects.get().last_used_at is not None
        LoginSession.objects.update(last_used_at=timezone.now() - timedelta(minutes=1))
        assert self.kinds(api, issued) == ["SELECT", *self.schema(), "UPDATE"]

    def test_a_renewal_is_written_after_the_response(
        self, api: APIClient, issued: IssuedLogin
    ) -> None:
        yesterday = timezone.now() - timedelta(days=1)
        LoginSession.objects.update(renewed_at=yesterday, last_used_at=timezone.now())
        before = LoginSession.objects.get().expires_at
        assert self.kinds(api, issued) == ["SELECT", *self.schema(), "UPDATE"]
        assert LoginSession.objects.get().expires_at > before

    def test_a_refusal_writes_nothing(self, api: APIClient, issued: IssuedLogin) -> None:
        revoke_login(issued.login)
        assert self.kinds(api, issued) == ["SELECT"]


def test_an_outage_is_503_with_a_time_to_wait(api: APIClient, issued: IssuedLogin) -> None:
    def outage(*_args: object) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(outage):
        response = get(api, bearer(issued))
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert response.json() == {
        "detail": "Authentication is temporarily unavailable.",
        "code": "unavailable",
    }
    assert get(api, bearer(issued)).status_code == 200


def test_answers_are_not_shared_between_callers_by_a_cache(
    api: APIClient, issued: IssuedLogin
) -> None:
    varies = get(api, bearer(issued))["Vary"].lower().split(", ")
    assert {"x-api-key", "authorization"} <= set(varies)
