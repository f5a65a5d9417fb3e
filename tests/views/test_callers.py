"""Who may act at the login endpoints: the browser's own pages, bearers, and never a key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.contrib.auth import user_logged_in
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path, resolve, reverse
from django.utils import timezone
from freezegun import freeze_time

from pikku_auth.core.secrets import generate
from pikku_auth.flows import create_service_user, mint_key
from pikku_auth.flows.device_flow import start_login
from pikku_auth.flows.logins import verify_login
from pikku_auth.flows.sign_in import signed_in_at
from pikku_auth.models import DeviceCode, LoginSession
from pikku_auth.views.better_auth import sign_out
from tests.cases import in_turn
from tests.conftest import pikku_settings
from tests.logins import (
    CLIENT,
    approved,
    bearer,
    browser_of,
    logged_in,
    poll_body,
    post,
    row_of,
    started_and_claimed,
)

pytestmark = pytest.mark.django_db

MakeUser = Callable[..., Any]

POSTS = [
    "device/code",
    "device/token",
    "device/approve",
    "device/deny",
    "sign-out",
    "revoke-session",
    "revoke-sessions",
    "revoke-other-sessions",
]
GETS = ["device?user_code=BCDFGHJK", "get-session", "list-sessions"]
FOR_CALLERS = [name for name in POSTS if not name.startswith(("device/code", "device/token"))]

MISSING = {"message": "Missing or null Origin", "code": "MISSING_OR_NULL_ORIGIN"}
INVALID = {"message": "Invalid origin", "code": "INVALID_ORIGIN"}
UNAUTHORIZED = {"message": "Unauthorized", "code": "UNAUTHORIZED"}

TRUSTED = ["https://app.example.com", "https://*.trusted.example", "http://localhost:3000"]


@pytest.fixture
def ada(make_user: MakeUser) -> Any:
    return make_user("ada")


def act(client: Client, path: str, headers: dict[str, str], **extra: Any) -> Any:
    """POST to an endpoint with these headers and no others."""
    body = {"userCode": "BCDFGHJK", "token": "x", "client_id": "x"}
    return client.post(f"/auth/{path}", body, "application/json", headers=headers, **extra)


class TestOrigins:
    """A cookie is sent along by any page; only a trusted one may act by it."""

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({}, MISSING),
            ({"Origin": "null"}, MISSING),
            ({"Referer": "null"}, MISSING),
            ({"Referer": "about:blank"}, MISSING),
            ({"Referer": "/auth/activate"}, MISSING),
            ({"Referer": "http://[::1"}, MISSING),
            ({"Origin": ""}, INVALID),
            ({"Origin": "http://[::1"}, INVALID),
            ({"Origin": "https://evil.example"}, INVALID),
            ({"Origin": "http://testserver.evil.example"}, INVALID),
            ({"Origin": "http://evil.example/testserver"}, INVALID),
            ({"Origin": "http://testserver@evil.example"}, INVALID),
            ({"Origin": "http://testserver:8000"}, INVALID),
            ({"Origin": "https://testserver"}, INVALID),
            ({"Origin": "http://testserver, http://testserver"}, INVALID),
            ({"Origin": "http://app.example.com"}, INVALID),
            ({"Origin": "https://app.example.com.evil.example"}, INVALID),
            ({"Origin": "https://eviltrusted.example"}, INVALID),
            ({"Origin": "http://a.trusted.example"}, INVALID),
            ({"Origin": "http://localhost:3001"}, INVALID),
            ({"Referer": "https://evil.example/http://testserver/"}, INVALID),
            ({"Referer": "http://testserver@evil.example/"}, INVALID),
            ({"Origin": "null", "Referer": "http://testserver/"}, MISSING),
            ({"Origin": "https://evil.example", "Referer": "http://testserver/"}, INVALID),
        ],
    )
    def test_a_cookie_from_anywhere_else_is_403_and_decides_nothing(
        self, ada: Any, headers: dict[str, str], expected: dict[str, str]
    ) -> None:
        started = started_and_claimed(ada)
        body = {"userCode": started.user_code.reveal()}
        with override_settings(CSRF_TRUSTED_ORIGINS=TRUSTED):
            response = browser_of(ada).post(
                "/auth/device/approve", body, "application/json", headers=headers
            )
        assert (response.status_code, response.json()) == (403, expected)
        assert row_of(started).status == "pending"

    @pytest.mark.parametrize(
        ("path", "headers", "expected"),
        in_turn(POSTS, [{}, {"Origin": "https://evil.example"}], [MISSING, INVALID]),
    )
    def test_so_it_is_at_every_endpoint(
        self, ada: Any, path: str, headers: dict[str, str], expected: dict[str, str]
    ) -> None:
        login = logged_in(ada).login
        response = act(browser_of(ada), path, headers)
        assert (response.status_code, response.json()) == (403, expected)
        assert LoginSession.objects.get(pk=login.pk).revoked_at is None

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://testserver"},
            {"Origin": "https://app.example.com"},
            {"Origin": "https://a.trusted.example"},
            {"Origin": "https://a.b.trusted.example"},
            {"Origin": "http://localhost:3000"},
            {"Referer": "http://testserver/auth/activate?x=1"},
            {"Referer": "https://app.example.com/"},
            {"Origin": "http://testserver", "Referer": "https://evil.example/"},
        ],
    )
    def test_a_cookie_from_a_trusted_page_acts(self, ada: Any, headers: dict[str, str]) -> None:
        started = started_and_claimed(ada)
        body = {"userCode": started.user_code.reveal()}
        with override_settings(CSRF_TRUSTED_ORIGINS=TRUSTED):
            response = browser_of(ada).post(
                "/auth/device/approve", body, "application/json", headers=headers
            )
        assert response.json() == {"success": True}

    @pytest.mark.parametrize(
        ("path", "origin"), in_turn(POSTS, ["null", "https://evil.example", None])
    )
    def test_without_a_cookie_there_is_nothing_to_abuse(
        self, ada: Any, path: str, origin: str | None
    ) -> None:
        headers = bearer(logged_in(ada)) | ({} if origin is None else {"Origin": origin})
        assert act(Client(), path, headers).status_code != 403

    @pytest.mark.parametrize("path", POSTS)
    def test_cookie_of_somebody_else_makes_no_browser(self, ada: Any, path: str) -> None:
        """Load balancers set some, and many clients send them back."""
        for headers in ({}, bearer(logged_in(ada))):
            client = Client()
            client.cookies["AWSALB"] = "abc"
            assert act(client, path, headers).status_code != 403

    @pytest.mark.parametrize("path", POSTS)
    def test_credential_decides_alone_beside_the_cookie_of_a_session(
        self, ada: Any, path: str
    ) -> None:
        """Another site's page can't send it, so it needs no ``Origin``."""
        browser = browser_of(ada)
        assert act(browser, path, bearer(logged_in(ada))).status_code != 403
        assert browser.session.get("_auth_user_id") == str(ada.pk)

    def test_bad_bearer_signs_no_browser_out(self, ada: Any) -> None:
        browser = browser_of(ada)
        response = act(browser, "sign-out", {"Authorization": "Bearer pks_" + "0" * 49})
        assert response.json() == {"success": True}
        assert browser.session.get("_auth_user_id") == str(ada.pk)

    def test_session_in_a_cookie_of_another_name_counts(self, ada: Any) -> None:
        """Some sites have a second session for their admin, by a middleware of their own."""
        request = RequestFactory().post("/auth/sign-out", headers={"Cookie": "admin_session=x"})
        request.session = SessionStore("x" * 32)
        request.user = ada
        assert sign_out(request).status_code == 403

    @pytest.mark.parametrize("path", GETS)
    def test_reading_is_not_acting(self, ada: Any, path: str) -> None:
        headers = {"Origin": "https://evil.example"}
        assert browser_of(ada).get(f"/auth/{path}", headers=headers).status_code != 403

    @pytest.mark.parametrize("path", FOR_CALLERS)
    def test_no_csrf_token_is_asked_for(self, ada: Any, path: str) -> None:
        client = browser_of(ada, enforce_csrf_checks=True)
        assert act(client, path, {"Origin": "http://testserver"}).status_code != 403


KEYS = ["good", "unknown", "empty", "nonsense", "a login token"]


@pytest.fixture
def keys(ada: Any) -> dict[str, str]:
    owner = create_service_user("builder")
    return {
        "good": mint_key(owner, scopes=["*"]).secret.reveal(),
        "unknown": generate("pka").reveal(),
        "empty": "",
        "nonsense": "nonsense",
        "a login token": logged_in(ada).token.reveal(),
    }


class TestKeys:
    """A machine's key can't see or touch a human's logins, nor make one."""

    @pytest.mark.parametrize(("path", "kind"), in_turn(FOR_CALLERS, KEYS))
    def test_a_key_acts_nowhere_whatever_is_beside_it(
        self, ada: Any, keys: dict[str, str], kind: str, path: str
    ) -> None:
        issued, started = logged_in(ada), started_and_claimed(ada)
        for client, beside in (
            (Client(), {}),
            (Client(), bearer(issued)),
            (browser_of(ada), {"Origin": "http://testserver"}),
        ):
            response = client.post(
                f"/auth/{path}",
                {"userCode": started.user_code.reveal(), "token": issued.token.reveal()},
                "application/json",
                headers={"x-api-key": keys[kind], **beside},
            )
            assert (response.status_code, response.json()) == (401, UNAUTHORIZED)
        assert verify_login(issued.token.digest)
        assert row_of(started).status == "pending"

    @pytest.mark.parametrize(("path", "kind"), in_turn(GETS, KEYS))
    def test_a_key_sees_nothing(self, ada: Any, keys: dict[str, str], kind: str, path: str) -> None:
        for client in (Client(), browser_of(ada)):
            response = client.get(f"/auth/{path}", headers={"x-api-key": keys[kind]})
            assert (response.status_code, response.json()) == (401, UNAUTHORIZED)

    @pytest.mark.parametrize("kind", KEYS)
    def test_a_key_claims_nothing(self, ada: Any, keys: dict[str, str], kind: str) -> None:
        started = start_login(CLIENT)
        query = {"user_code": started.user_code.reveal()}
        response = browser_of(ada).get("/auth/device", query, headers={"x-api-key": keys[kind]})
        assert response.status_code == 401
        assert row_of(started).user is None


class UserFromBearer:
    """A middleware of the host's that makes a user of a bearer, as many do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        login = LoginSession.objects.select_related("user").latest("pk")
        request.user = login.user
        return self.get_response(request)


class TestBearers:
    """A stolen credential must not breed."""

    @pytest.mark.parametrize("verb", ["approve", "deny"])
    def test_a_bearer_decides_nothing(self, ada: Any, verb: str) -> None:
        issued, started = logged_in(ada), started_and_claimed(ada)
        body = {"userCode": started.user_code.reveal()}
        response = post(Client(), f"device/{verb}", body, **bearer(issued))
        assert response.status_code == 401
        assert response.json()["error"] == "unauthorized"
        assert row_of(started).status == "pending"

    @pytest.mark.parametrize("verb", ["approve", "deny"])
    def test_not_even_where_the_host_makes_a_user_of_it(
        self, ada: Any, verb: str, settings: Any
    ) -> None:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.UserFromBearer"]
        issued, started = logged_in(ada), start_login(CLIENT)
        typed = started.user_code.reveal()
        client = Client()
        client.get("/auth/device", {"user_code": typed}, headers=bearer(issued))
        assert row_of(started).user is None
        DeviceCode.objects.update(user=ada)
        response = post(client, f"device/{verb}", {"userCode": typed}, **bearer(issued))
        assert response.status_code == 401
        assert row_of(started).status == "pending"

    def test_nor_beside_the_cookie_of_somebody_else(
        self, ada: Any, make_user: MakeUser, settings: Any
    ) -> None:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.UserFromBearer"]
        issued, started = logged_in(ada), started_and_claimed(ada)
        grace = browser_of(make_user("grace"))
        body = {"userCode": started.user_code.reveal()}
        assert post(grace, "device/approve", body, **bearer(issued)).status_code == 401

    def test_nor_beside_a_dead_session_of_the_same_human(self, ada: Any, settings: Any) -> None:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, "pikku_auth.middleware.PikkuAuthMiddleware"]
        browser = browser_of(ada)
        ada.set_password("another-horse")
        ada.save()
        issued, started = logged_in(ada), started_and_claimed(ada)
        body = {"userCode": started.user_code.reveal()}
        assert post(browser, "device/approve", body, **bearer(issued)).status_code == 401
        assert row_of(started).status == "pending"

    def test_that_the_mapping_rejects_sees_and_ends_nothing(self, ada: Any) -> None:
        issued, other = logged_in(ada), logged_in(ada)
        with pikku_settings(MAP_LOGIN="tests.mappings.reject"):
            headers = bearer(issued)
            assert Client().get("/auth/get-session", headers=headers).json() is None
            assert Client().get("/auth/list-sessions", headers=headers).status_code == 401
            assert post(Client(), "revoke-sessions", **headers).status_code == 401
        assert verify_login(other.login.digest)

    def test_that_the_mapping_rejects_can_still_be_signed_out(self, ada: Any) -> None:
        issued = logged_in(ada)
        with pikku_settings(MAP_LOGIN="tests.mappings.reject"):
            post(Client(), "sign-out", **bearer(issued))
        issued.login.refresh_from_db()
        assert issued.login.revoke_reason == "signed out"

    def test_a_session_that_has_ended_decides_nothing(self, ada: Any) -> None:
        started, browser = started_and_claimed(ada), browser_of(ada)
        ada.is_active = False
        ada.save()
        body = {"userCode": started.user_code.reveal()}
        assert post(browser, "device/approve", body).status_code == 401


class TestRecentSignIn:
    """``SIGN_IN_MAX_AGE``, which the page and ``device/approve`` ask alike."""

    MINUTE = timedelta(minutes=1)

    def decide(
        self, browser: Client, ada: Any, verb: str, scope: str = "", **settings: Any
    ) -> tuple[int, Any]:
        started = started_and_claimed(ada, scope=scope)
        body = {"userCode": started.user_code.reveal()}
        with pikku_settings(**{"SIGN_IN_MAX_AGE": self.MINUTE, **settings}):
            response: Any = post(browser, f"device/{verb}", body)
        return response.status_code, response.json()

    def test_recent_session_approves(self, ada: Any) -> None:
        assert self.decide(browser_of(ada), ada, "approve") == (200, {"success": True})

    def test_old_session_is_told_to_sign_in_again(self, ada: Any) -> None:
        browser = browser_of(ada)
        with freeze_time(timezone.now() + 2 * self.MINUTE):
            browser_of(ada)  # on another machine
            status, body = self.decide(browser, ada, "approve")
        assert (status, body["error"]) == (401, "insufficient_user_authentication")
        assert "sign in again" in body["error_description"]

    @pytest.mark.parametrize(("scope", "status"), [("auth:mint", 401), ("sandbox:read", 200)])
    def test_old_session_lets_no_terminal_make_keys_by_default(
        self, scope: str, status: int, make_user: Callable[..., Any]
    ) -> None:
        root = make_user("root", is_superuser=True)
        browser, settings = (
            browser_of(root),
            {"SIGN_IN_MAX_AGE": None, "LOGIN_SCOPES": ["*", "auth:*"]},
        )
        assert self.decide(browser, root, "approve", scope, **settings)[0] == 200
        with freeze_time(timezone.now() + 16 * self.MINUTE):
            answer = self.decide(browser, root, "approve", scope, **settings)
            assert self.decide(browser, root, "deny", scope, **settings)[0] == 200
        assert answer[0] == status
        if status == 401:
            assert answer[1]["error"] == "insufficient_user_authentication"

    def test_old_session_denies(self, ada: Any) -> None:
        browser = browser_of(ada)
        with freeze_time(timezone.now() + 2 * self.MINUTE):
            assert self.decide(browser, ada, "deny")[0] == 200

    def test_signal_for_somebody_else_than_the_sessions_user_is_no_sign_in(self, ada: Any) -> None:
        """Packages that issue tokens send ``user_logged_in`` beside a visitor's session."""
        request = RequestFactory().get("/")
        request.session = SessionStore()
        user_logged_in.send(type(ada), request=request, user=ada)
        assert signed_in_at(request.session) is None

    def test_sign_in_without_a_session_is_none(self, ada: Any) -> None:
        user_logged_in.send(type(ada), request=None, user=ada)
        user_logged_in.send(type(ada), request=RequestFactory().get("/"), user=ada)


class TestBehindAProxy:
    """``verification_uri`` is what the human's browser can open."""

    def uri(self, url: str = "/auth/device/code", **extra: Any) -> str:
        body = {"client_id": CLIENT}
        answer = Client().post(url, body, "application/json", **extra).json()
        code = answer["user_code"]
        assert answer["verification_uri_complete"] == (
            f"{answer['verification_uri']}?user_code={code}"
        )
        uri: str = answer["verification_uri"]
        return uri

    def test_as_the_device_came_in(self) -> None:
        assert self.uri() == "http://testserver/auth/activate"

    def test_over_https(self) -> None:
        assert self.uri(secure=True) == "https://testserver/auth/activate"

    @override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_where_the_proxy_ends_tls(self, scheme: str) -> None:
        forwarded = {"HTTP_X_FORWARDED_PROTO": scheme, "HTTP_HOST": "localhost:8000"}
        assert self.uri(**forwarded) == f"{scheme}://localhost:8000/auth/activate"

    def test_a_header_that_nobody_trusts_changes_nothing(self) -> None:
        forged = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_HOST": "evil.example"}
        assert self.uri(**forged) == "http://testserver/auth/activate"

    @override_settings(USE_X_FORWARDED_HOST=True, ALLOWED_HOSTS=["app.example.com"])
    def test_where_the_proxy_tells_the_host(self) -> None:
        host = {"HTTP_X_FORWARDED_HOST": "app.example.com"}
        assert self.uri(**host) == "http://app.example.com/auth/activate"

    @override_settings(ALLOWED_HOSTS=["app.example.com"])
    def test_a_forged_host_is_no_link(self) -> None:
        response = Client().post("/auth/device/code", HTTP_HOST="evil.example")
        assert response.status_code == 400

    @pytest.mark.django_db(transaction=True)
    @override_settings(FORCE_SCRIPT_NAME="/site")
    def test_under_a_prefix_of_the_server(self, live_server: Any) -> None:
        url = f"{live_server.url}/auth/device/code"
        answer = requests.post(url, json={"client_id": CLIENT}, timeout=30).json()
        assert answer["verification_uri"] == f"{live_server.url}/site/auth/activate"

    def test_under_another_mount_point(self) -> None:
        with override_settings(ROOT_URLCONF=f"{__name__}"):
            assert self.uri("/accounts/machines/device/code") == (
                "http://testserver/accounts/machines/activate"
            )
            assert reverse("pikku_auth:device_token") == "/accounts/machines/device/token"


urlpatterns = [path("accounts/machines/", include("pikku_auth.urls"))]


class TestUnderLoginRequired:
    """The host demands a session everywhere, and devices have none."""

    @pytest.fixture(autouse=True)
    def _required(self, settings: Any) -> None:
        required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, required]

    def test_a_device_logs_in(self, ada: Any) -> None:
        client = Client()
        assert post(client, "device/code", {"client_id": CLIENT}).status_code == 200
        response = post(client, "device/token", poll_body(approved(ada)))
        headers = {"Authorization": f"Bearer {response.json()['access_token']}"}
        assert client.get("/auth/get-session", headers=headers).json()["user"]
        assert post(client, "sign-out", **headers).json() == {"success": True}

    @pytest.mark.parametrize("path", GETS)
    def test_reading_answers_for_itself(self, path: str) -> None:
        assert Client().get(f"/auth/{path}").status_code in {200, 400, 401}

    @pytest.mark.parametrize("path", FOR_CALLERS)
    def test_acting_answers_for_itself(self, path: str) -> None:
        assert act(Client(), path, {}).status_code in {200, 401}


@pytest.mark.django_db(transaction=True)
class TestUnderAtomicRequests:
    """The host wraps each view in a transaction; these are left out of it."""

    @pytest.fixture(autouse=True)
    def _atomic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    def test_wrong_codes_stay_counted(self) -> None:
        statuses = [Client().get("/auth/device?user_code=X").status_code for _ in range(6)]
        assert statuses == [400] * 5 + [429]

    def test_polls_stay_counted(self, ada: Any) -> None:
        started = started_and_claimed(ada)
        post(Client(), "device/token", poll_body(started))
        assert post(Client(), "device/token", poll_body(started)).json()["error"] == "slow_down"
        assert row_of(started).interval == 10

    def test_a_replay_ends_the_login_though_it_is_answered_with_an_error(self, ada: Any) -> None:
        started = approved(ada)
        post(Client(), "device/token", poll_body(started))
        assert post(Client(), "device/token", poll_body(started)).status_code == 400
        assert LoginSession.objects.get().revoke_reason == "device code replayed"

    def test_what_was_decided_before_a_crash_stays_decided(
        self, ada: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(*_args: object, **_options: object) -> None:
            raise ZeroDivisionError

        started = started_and_claimed(ada)
        monkeypatch.setattr("pikku_auth.views.device.JsonResponse", crash)
        browser = browser_of(ada, raise_request_exception=False)
        body = {"userCode": started.user_code.reveal()}
        assert post(browser, "device/deny", body).status_code == 500
        assert row_of(started).status == "denied"

    def test_a_renewal_is_told_at_once(self, ada: Any) -> None:
        issued = logged_in(ada, now=timezone.now() - timedelta(days=3))
        before = LoginSession.objects.get().expires_at
        response = Client().get("/auth/get-session", headers=bearer(issued))
        renewed = LoginSession.objects.get().expires_at
        assert renewed - before == pytest.approx(timedelta(days=3), abs=timedelta(minutes=1))
        assert response.json()["session"]["expiresAt"][:19] == f"{renewed:%Y-%m-%dT%H:%M:%S}"

    @pytest.mark.parametrize("url", ["/auth/get-session", "/auth/device/token", "/auth/activate"])
    def test_no_transaction_of_the_hosts_is_open_in_a_view(self, url: str) -> None:
        assert "default" in resolve(url).func._non_atomic_requests


@pytest.mark.django_db(transaction=True)
class TestInAnOutage:
    """The database can't be asked, so nobody is told that their code or token is bad."""

    @pytest.mark.parametrize("path", ["device/code", "device/token", "revoke-session", "sign-out"])
    def test_it_is_503_with_a_time_to_wait(self, ada: Any, path: str) -> None:
        headers, body = bearer(logged_in(ada)), {**poll_body(approved(ada)), "token": "x"}

        def outage(*_args: object) -> None:
            raise OperationalError("connection refused")

        with connection.execute_wrapper(outage):
            response = post(Client(), path, body, **headers)
        assert response.status_code == 503
        assert response["Retry-After"] == "5"
        assert response.json() == {
            "error": "temporarily_unavailable",
            "error_description": "Authentication is temporarily unavailable.",
        }
