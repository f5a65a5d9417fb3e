"""What the pages of the admin cost PostgreSQL with a million keys: milliseconds and statements."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.harness import print_table, throwaway_database
from pikku_auth.models import APIKey, AuditEvent, KeyState, LoginSession, ServiceUser

KEYS = int(os.environ.get("KEYS", "1000000"))
TIMES = 3
BUDGET = 300
"""Milliseconds of SQL that a page may take."""

ADMIN = "/admin/pikku_auth"
LISTS = {
    "keys": f"{ADMIN}/apikey/",
    "logins": f"{ADMIN}/loginsession/",
    "service users": f"{ADMIN}/serviceuser/",
    "events": f"{ADMIN}/auditevent/",
}

# A tenth of the keys is of one service user, and the rest is of a thousand others.
FILL = """
INSERT INTO auth_user (username, password, first_name, last_name, email, is_superuser, is_staff,
        is_active, date_joined)
    SELECT 'machine-' || i, '!', '', '', '', false, i = 7, i %% 100 <> 8, now()
    FROM generate_series(1, 1001) AS i;
INSERT INTO auth_user (username, password, first_name, last_name, email, is_superuser, is_staff,
        is_active, date_joined)
    SELECT 'human-' || i, '!', '', '', '', false, false, true, now()
    FROM generate_series(1, %(keys)s / 100) AS i;
INSERT INTO pikku_auth_serviceuser (name, description, contacts, user_id, is_active, created_at)
    SELECT username, 'It builds and tests.', '[]', id, id %% 100 <> 9, now()
    FROM auth_user WHERE username LIKE 'machine-%%' ORDER BY id;
INSERT INTO pikku_auth_apikey (service_user_id, name, preview, digest, permissions, metadata,
        networks, delegation, is_suspended, parent_networks, created_at, expires_at, enabled,
        revoked_at, revoke_reason, last_used_at, window_calls, remaining)
    SELECT (SELECT min(id) FROM pikku_auth_serviceuser)
            + CASE WHEN i %% 10 = 0 THEN 0 ELSE 1 + i %% 1000 END,
        CASE WHEN i %% 2 = 0 THEN 'build-' || i ELSE '' END,
        'pka_' || left(md5(i::text), 8), md5(i::text) || md5((-i)::text),
        '{"sandbox": ["read"]}', jsonb_build_object('sandbox', 'sb-' || i), '[]', '{}',
        false, '[]',
        now() - interval '1 year' + i * interval '1 year' / %(keys)s,
        CASE WHEN i %% 100 < 20 THEN NULL
            ELSE now() - interval '60 days' + i * interval '1 year' / %(keys)s END,
        i %% 1000 <> 501,
        CASE WHEN i %% 5 = 3 THEN now() END, '',
        CASE WHEN i %% 3 > 0 THEN now() - (i::bigint * 7919 %% 200) * interval '1 day' END,
        0, CASE WHEN i %% 1000 = 701 THEN 0 END
    FROM generate_series(1, %(keys)s) AS i;
INSERT INTO pikku_auth_loginsession (user_id, preview, digest, auth_hash, client_id, user_agent,
        created_at, renewed_at, expires_at, revoked_at, revoke_reason, last_used_at)
    SELECT (SELECT min(id) FROM auth_user WHERE username LIKE 'human-%%') + i %% (%(keys)s / 100),
        'pks_' || left(md5(i::text), 8), md5(i::text) || md5((-i)::text), '',
        CASE WHEN i %% 50 = 0 THEN 'editor' ELSE 'pikku-cli' END, 'curl/8',
        now(), now(), now() + (i %% 60 - 50) * interval '1 day',
        CASE WHEN i %% 7 = 0 THEN now() END, '', now()
    FROM generate_series(1, %(keys)s / 4) AS i;
INSERT INTO pikku_auth_auditevent (at, action, subject, service_user_id, key_id, actor_name,
        source, ip, user_agent, details)
    SELECT created_at, CASE WHEN id %% 100000 = 1 THEN 'key_rotated' ELSE 'key_minted' END,
        CASE WHEN name = '' THEN preview || '…' ELSE name || ' (' || preview || '…)' END
            || ' of machine', service_user_id, id, 'ada',
        CASE WHEN id %% 10000 = 1 THEN 'command' ELSE 'admin' END, '192.0.2.7', 'curl/8',
        '{"scopes": ["sandbox:read"]}'
    FROM pikku_auth_apikey;
"""


def main() -> None:
    """Fill a database, open each page, and print a table."""
    if connection.vendor != "postgresql":
        raise SystemExit("It fills PostgreSQL: name a server by DATABASE_URL.")
    with throwaway_database():
        fill()
        version = ".".join(map(str, connection.get_database_version()))
        counts = ", ".join(
            f"{model._default_manager.count():,} {model._meta.verbose_name_plural}"
            for model in (APIKey, LoginSession, ServiceUser, AuditEvent)
        )
        print(f"{connection.display_name} {version}; {counts}; best of {TIMES}")
        rows = [(name, *cost_of(path)) for name, path in pages()]
        print_table("page", ["SQL ms", "statements", ""], rows)


def fill() -> None:
    """The rows, and what the planner knows of them."""
    with connection.cursor() as cursor:
        for statement in (FILL % {"keys": KEYS}).split(";\n"):
            if statement.strip():
                cursor.execute(statement)
        cursor.execute("VACUUM ANALYZE")


def pages() -> Iterator[tuple[str, str]]:
    """Each with its address."""
    for name, path in LISTS.items():
        yield name, path
        yield f"{name}: the last page", f"{path}?p=last"
        for column in range(1, 8):
            for order in ("", "-"):
                yield f"{name}: o={order}{column}", f"{path}?o={order}{column}"
    yield "the page of this app", f"{ADMIN}/"
    yield from key_pages(LISTS["keys"])
    yield from other_pages()


def key_pages(keys: str) -> Iterator[tuple[str, str]]:
    """The filters and searches of the list of keys, and the pages of one key."""
    key = APIKey.objects.order_by("pk")[KEYS // 2]
    for state in KeyState.values:
        yield f"keys: {state}", f"{keys}?state={state}"
        yield f"keys: {state}, the last page", f"{keys}?state={state}&p=last"
    for expires in ("7", "14", "30", "90", "never"):
        yield f"keys: expiry {expires}", f"{keys}?expires={expires}"
    for used in ("day", "not30", "not90", "never"):
        yield f"keys: used {used}", f"{keys}?used={used}"
    giant, small = ServiceUser.objects.order_by("pk")[:2]
    for owner in (giant, small):
        yield f"keys: of {owner}", f"{keys}?service_user__id__exact={owner.pk}"
    searches = {
        "a key's start": key.preview,
        "a start that all have": "pka_",
        "a name": f"build-{KEYS // 2}",
        "a name's start": "build-12",
        "a name that half have": "build",
        "a service user": "machine-77",
        "its start": "machine",
        "a service user and a name": "machine-100 build-12",
        "nothing": "zebra",
        "nothing, in two words": "no zebra",
        "metadata": f"metadata:sb-{KEYS // 2}",
    }
    for name, term in searches.items():
        yield f"keys: search for {name}", f"{keys}?q={term}"
    yield "keys: search, by expiry, active", f"{keys}?q=build-1&o=6&state=active"
    yield "one key", f"{keys}{key.pk}/change/"
    yield "its history", f"{keys}{key.pk}/history/"
    yield "the question before revoking it", f"{keys}act/revoke/?ids={key.pk}"


def other_pages() -> Iterator[tuple[str, str]]:
    """Those of logins, service users and events."""
    logins, owners, events = LISTS["logins"], LISTS["service users"], LISTS["events"]
    for state in ("live", "revoked", "expired"):
        yield f"logins: {state}", f"{logins}?state={state}"
    yield "logins: of a client", f"{logins}?client_id=editor"
    for term in ("human-77", "human", "pks_c4ca", "editor", "zebra"):
        yield f"logins: search for {term}", f"{logins}?q={term}"
    giant = ServiceUser.objects.order_by("pk")[0]
    for term in ("machine-77", "machine", "zebra", "description:builds"):
        yield f"service users: search for {term}", f"{owners}?q={term}"
    yield "service users: inactive", f"{owners}?is_active__exact=0"
    yield "one with many keys", f"{owners}{giant.pk}/change/"
    yield "its history", f"{owners}{giant.pk}/history/"
    for query in ("action__exact=key_minted", "action__exact=key_rotated",
                  "action__exact=login_denied", "source__exact=command",
                  f"service_user__id__exact={giant.pk}"):  # fmt: skip
        yield f"events: {query}", f"{events}?{query}"
    for term in ("build-12", "pka_c4ca", "machine-77", "ada", "192.0.2.7", "zebra"):
        yield f"events: search for {term}", f"{events}?q={term}"


def cost_of(path: str) -> tuple[str, str, str]:
    """The milliseconds of the SQL of a page, how many statements, and a mark beyond the budget."""
    client = Client()
    boss = get_user_model()._default_manager.filter(is_superuser=True).first()
    boss = boss or get_user_model()._default_manager.create_superuser("boss")
    client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    if path.endswith("p=last"):
        found: Any = client.get(path.removesuffix("p=last"))
        path = f"{path.removesuffix('last')}{found.context['cl'].paginator.num_pages}"
    costs = [_once(client, path) for _ in range(TIMES)]
    best, statements = min(costs)
    return f"{best:,.0f}", str(statements), "over" if best > BUDGET else ""


def _once(client: Client, path: str) -> tuple[float, int]:
    with CaptureQueriesContext(connection) as captured:
        response = client.get(path)
    if response.status_code != 200:
        raise RuntimeError(f"{path} answered {response.status_code}")
    return sum(float(query["time"]) for query in captured) * 1_000, len(captured)


if __name__ == "__main__":
    from django.test.utils import setup_test_environment

    setup_test_environment()
    main()
