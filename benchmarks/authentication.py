"""What the parts of a request with a key cost: ``python -m benchmarks.authentication``."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection, transaction
from django.test import RequestFactory
from django.utils import timezone

from benchmarks.harness import (
    TIMING_COLUMNS,
    print_setting,
    print_table,
    queries_of,
    throwaway_database,
    timed,
)
from pikku_auth.core.secrets import generate
from pikku_auth.exceptions import Refused
from pikku_auth.flows import IssuedKey, authenticate, create_service_user, last_used, mint_key
from pikku_auth.flows.database import primary
from pikku_auth.flows.lookup import find_by_digest
from pikku_auth.models import APIKey
from pikku_auth.testing import key_headers

USERS = 1_000
"""With a handful, PostgreSQL's planner has less to do than in a host."""

Call = Callable[[], object]


def main() -> None:
    """Measure, and print a table."""
    with throwaway_database():
        print_setting()
        cases = parts_of_ours([a_key_of(number) for number in range(USERS)][-1])
        timings = timed(cases)
        rows = [[name, queries_of(cases[name]), *timings[name].columns()] for name in cases]
        print_table("of pikku_auth", ["queries", *TIMING_COLUMNS], rows)


def a_key_of(number: int) -> IssuedKey:
    """A key, just used, of a service user of its own."""
    with transaction.atomic():
        issued = mint_key(create_service_user(f"machine-{number}"), scopes=["sandbox:read"])
        APIKey.objects.filter(pk=issued.key.pk).update(last_used_at=timezone.now())
    return issued


def parts_of_ours(issued: IssuedKey) -> dict[str, Call]:
    """The floor under a request, what the ORM would take, and the write that most don't make."""
    keys = APIKey.objects.select_related("service_user__user")
    digest, using, factory = issued.key.digest, primary(), RequestFactory()
    sql, params = keys.filter(digest=digest).query.sql_with_params()

    def select() -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            cursor.fetchone()

    def find() -> None:
        find_by_digest(APIKey, digest, "service_user", "user", using=using)

    def write_last_used() -> None:
        APIKey.objects.filter(pk=issued.key.pk).update(last_used_at=None)
        issued.key.last_used_at = None
        last_used.note(issued.key, timezone.now(), "192.0.2.1")
        last_used.flush()

    def refused(secret: str) -> None:
        request = factory.get("/", headers={"x-api-key": secret})
        try:
            authenticate(request)
        except Refused:
            return
        raise RuntimeError

    unknown = generate("pka").reveal()
    return {
        "making the request": lambda: factory.get("/", headers=key_headers(issued)),
        "that, and authenticate()": lambda: authenticate(
            factory.get("/", headers=key_headers(issued))
        ),
        "that, with an unknown key": lambda: refused(unknown),
        "that, with a malformed key": lambda: refused("pka_malformed"),
        "its SELECT as the ORM writes it, through a cursor": select,
        "the look-up: SELECT, and the objects made": find,
        "the look-up, if the ORM did it": lambda: keys.get(digest=digest),
        "making last_used_at due, and writing it": write_last_used,
    }


if __name__ == "__main__":
    main()
