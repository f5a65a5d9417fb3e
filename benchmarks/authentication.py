"""The cost of authenticating one DRF request, above an empty view, beside other packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.auth import (  # type: ignore[import-untyped]  # it has no types
    TokenAuthentication as KnoxAuthentication,
)
from knox.models import AuthToken  # type: ignore[import-untyped]  # it has no types
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_api_key.models import APIKey as RivalKey
from rest_framework_api_key.permissions import HasAPIKey

from benchmarks.harness import (
    TIMING_COLUMNS,
    p10,
    print_setting,
    print_table,
    throwaway_database,
    timed,
)
from pikku_auth.flows import IssuedKey, create_service_user, last_used, mint_key
from pikku_auth.flows.database import primary
from pikku_auth.flows.lookup import find_by_digest
from pikku_auth.models import APIKey
from pikku_auth.rest_framework import HasScope, PikkuAuthentication
from pikku_auth.testing import key_headers

EMPTY = "an empty view"
RATIO_TO = "DRF TokenAuthentication"

Call = Callable[[], object]
View = Callable[[HttpRequest], HttpResponse]


def main() -> None:
    """Measure, and print two tables."""
    with throwaway_database():
        print_setting()
        issued = a_key_of(1)
        print_requests({EMPTY: request_to(view()), **our_requests(issued), **other_requests()})
        print_parts(parts_of_ours(issued))


def view(authentication: type | None = None, permission: type | None = None) -> View:
    """A DRF view that does nothing but let the caller in."""

    class Empty(APIView):
        authentication_classes: Any = [authentication] if authentication else []
        permission_classes: Any = [permission] if permission else []

        def get(self, request: Request) -> Response:
            return Response()

    return Empty.as_view()


def request_to(handler: View, headers: dict[str, str] | None = None) -> Call:
    """One request, from its making to its rendered response."""
    factory = RequestFactory()

    def call() -> None:
        response: Any = handler(factory.get("/", headers=headers))
        if response.render().status_code != 200:
            raise RuntimeError(f"{handler} refused: {response.data}")

    return call


def a_key_of(number: int) -> IssuedKey:
    """A key, just used, of a service user that has ``number`` of them."""
    with transaction.atomic():
        owner = create_service_user(f"machine-{number}")
        issued = [mint_key(owner, scopes=["sandbox:read"]) for _ in range(number)][-1]
        APIKey.objects.filter(service_user=owner).update(last_used_at=timezone.now())
    return issued


def our_requests(issued: IssuedKey) -> dict[str, Call]:
    ours = view(PikkuAuthentication, HasScope("sandbox:read"))
    return {
        "pikku_auth": request_to(ours, key_headers(issued)),
        "pikku_auth, owner of 1,000 keys": request_to(ours, key_headers(a_key_of(1_000))),
    }


def other_requests() -> dict[str, Call]:
    people = get_user_model()._default_manager
    bob, eve = people.create(username="bob"), people.create(username="eve")
    token = Token.objects.create(user=bob).key
    knox_1 = AuthToken.objects.create(bob)[1]
    knox_50 = [AuthToken.objects.create(eve)[1] for _ in range(50)][-1]
    rival_key = RivalKey.objects.create_key(name="rival")[1]
    client = Client()
    client.force_login(bob, backend="django.contrib.auth.backends.ModelBackend")
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    behind_session: Any = SessionMiddleware(AuthenticationMiddleware(view(SessionAuthentication)))
    knox = view(KnoxAuthentication)
    return {
        RATIO_TO: request_to(view(TokenAuthentication), {"authorization": f"Token {token}"}),
        "a session cookie": request_to(behind_session, {"cookie": cookie}),
        "knox, user of 1 token": request_to(knox, {"authorization": f"Token {knox_1}"}),
        "knox, user of 50 tokens": request_to(knox, {"authorization": f"Token {knox_50}"}),
        "drf-api-key (no user)": request_to(
            view(permission=HasAPIKey), {"authorization": f"Api-Key {rival_key}"}
        ),
    }


def parts_of_ours(issued: IssuedKey) -> dict[str, Call]:
    """The floor under a request, what the ORM would take, and the write that most don't make."""
    keys = APIKey.objects.select_related("service_user__user")
    digest, using = issued.key.digest, primary()
    sql, params = keys.filter(digest=digest).query.sql_with_params()

    def select() -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            cursor.fetchone()

    def find() -> None:
        find_by_digest(APIKey, digest, "service_user", "user", using=using)

    def write_last_used() -> None:
        last_used.note(issued.key, timezone.now(), "192.0.2.1")
        last_used.flush()

    return {
        "its SELECT, through a cursor": select,
        "the look-up: that, with the objects made": find,
        "the look-up, if the ORM did it": lambda: keys.get(digest=digest),
        "writing last_used_at, after a response, once a minute": write_last_used,
    }


def print_requests(cases: dict[str, Call]) -> None:
    queries = {name: queries_of(call) for name, call in cases.items()}
    timings = timed(cases)
    floor = p10(timings[EMPTY].cpu)
    above = {name: p10(timing.cpu) - floor for name, timing in timings.items()}
    print_table(
        "a request with",
        ["queries", *TIMING_COLUMNS, "CPU above empty", "ratio"],
        [
            [
                name,
                queries[name],
                *timing.columns(),
                f"{above[name]:+,.0f}",
                f"{above[name] / above[RATIO_TO]:.2f}",
            ]
            for name, timing in timings.items()
        ],
    )
    print(f"\nratio: CPU above empty, to {RATIO_TO}'s")


def print_parts(cases: dict[str, Call]) -> None:
    timings = timed(cases)
    rows = [[name, queries_of(cases[name]), *timings[name].columns()] for name in cases]
    print_table("of pikku_auth", ["queries", *TIMING_COLUMNS], rows)


def queries_of(call: Call) -> str:
    """The verbs of the statements that ``call`` sends, such as ``1 SELECT``."""
    call()
    with CaptureQueriesContext(connection) as captured:
        call()
    verbs = [query["sql"].split(maxsplit=1)[0] for query in captured.captured_queries]
    return ", ".join(f"{verbs.count(verb)} {verb}" for verb in dict.fromkeys(verbs)) or "none"


if __name__ == "__main__":
    main()
