"""Databases and schemas of tenants: what is known of a row is written to no other tenant's.

Rows of two tenants have the same id, as they do where each has tables of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from pikku_auth.core.limits import Rate
from pikku_auth.flows import IssuedKey, create_service_user, last_used, mint_key
from pikku_auth.flows.database import place_of
from pikku_auth.flows.keys.verify import reverify_key, verify_digest
from pikku_auth.flows.logins import verify_login
from pikku_auth.models import APIKey, LoginSession
from tests.logins import logged_in

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

TENANTS = ["acme", "globex"]
Use = Callable[[str], None]


class CurrentDatabase:
    """Routes everything to the database of the current tenant."""

    alias = "default"

    def db_for_read(self, model: Any, **_hints: Any) -> str:
        return self.alias

    db_for_write = db_for_read


@pytest.fixture(autouse=True, scope="module")
def _databases(
    tmp_path_factory: Any, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """A database of each tenant, and on PostgreSQL the suite's own by way of django-tenants."""
    ours: Any = connections.settings["default"]
    folder = tmp_path_factory.mktemp("tenants")
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}
    added = {name: {**ours, **sqlite, "NAME": str(folder / name)} for name in TENANTS}
    if connection.vendor == "postgresql":
        added["tenants"] = {**ours, "ENGINE": "django_tenants.postgresql_backend"}
    connections.settings.update(added)
    with django_db_blocker.unblock():
        for tenant in TENANTS:
            call_command("migrate", database=tenant, verbosity=0)
    yield
    for alias in added:
        connections[alias].close()
        del connections.settings[alias]
        del connections[alias]


@pytest.fixture
def use_database(settings: Any) -> Iterator[Use]:
    """Two databases, and what makes one of them the current one."""
    settings.DATABASE_ROUTERS = [f"{__name__}.CurrentDatabase"]
    for tenant in TENANTS:
        call_command("flush", database=tenant, verbosity=0, interactive=False)
    with pytest.MonkeyPatch.context() as patch:
        yield lambda tenant: patch.setattr(CurrentDatabase, "alias", tenant)


def schemas_of_tenants() -> None:
    """Copy every table to the schema of each tenant."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        for tenant in TENANTS:
            cursor.execute(f"DROP SCHEMA IF EXISTS {tenant} CASCADE; CREATE SCHEMA {tenant}")
            for table in tables:
                like = f'(LIKE public."{table}" INCLUDING ALL)'
                cursor.execute(f'CREATE TABLE {tenant}."{table}" {like}')


def drop_schemas() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = public")
        cursor.execute(f"DROP SCHEMA {', '.join(TENANTS)} CASCADE")


@pytest.fixture
def use_search_path() -> Iterator[Use]:
    """Two schemas of one PostgreSQL database, chosen by ``search_path``."""
    if connection.vendor != "postgresql":
        pytest.skip("Schemas for tenants are PostgreSQL's: run this with DATABASE_URL=postgres://…")
    schemas_of_tenants()

    def use(tenant: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path = {tenant}, public")

    yield use
    drop_schemas()


@pytest.fixture
def use_django_tenants(settings: Any) -> Iterator[Use]:
    """Two schemas of one PostgreSQL database, chosen by django-tenants."""
    if connection.vendor != "postgresql":
        pytest.skip("django-tenants needs PostgreSQL: run this with DATABASE_URL=postgres://…")
    schemas_of_tenants()
    settings.DATABASE_ROUTERS = [f"{__name__}.CurrentDatabase"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CurrentDatabase, "alias", "tenants")
        of_tenants: Any = connections["tenants"]
        yield of_tenants.set_schema
        of_tenants.set_schema_to_public()
    drop_schemas()


@pytest.fixture(params=["use_database", "use_search_path", "use_django_tenants"])
def use(request: pytest.FixtureRequest) -> Use:
    chosen: Use = request.getfixturevalue(request.param)
    return chosen


def keys_of_two_tenants(use: Use, **options: Any) -> dict[str, IssuedKey]:
    issued = {}
    for tenant in TENANTS:
        use(tenant)
        issued[tenant] = mint_key(create_service_user("worker"), **options)
    assert len({one.key.pk for one in issued.values()}) == 1
    return issued


def in_each(use: Use, name: str, model: Any = APIKey) -> list[Any]:
    """A column of the one row of each tenant."""
    found = []
    for tenant in TENANTS:
        use(tenant)
        found.append(model.objects.values_list(name, flat=True).get())
    return found


def test_use_of_a_key_is_written_where_the_key_was_read(use: Use) -> None:
    issued = keys_of_two_tenants(use)
    use("acme")
    verify_digest(issued["acme"].key.digest, ip="192.0.2.66")
    use("globex")
    last_used.flush()
    assert in_each(use, "last_used_ip") == ["192.0.2.66", None]


def test_writing_what_was_noted_leaves_the_current_tenant_in_use(use: Use) -> None:
    issued = keys_of_two_tenants(use)
    use("acme")
    verify_digest(issued["acme"].key.digest)
    use("globex")
    last_used.flush()
    assert APIKey.objects.get().digest == issued["globex"].key.digest


def test_renewal_of_a_login_is_written_where_the_login_was_read(use: Use) -> None:
    for tenant in TENANTS:
        use(tenant)
        user = get_user_model()._default_manager.create_user(**_names())
        now = timezone.now() - timedelta(days=2)
        issued = logged_in(user, now=now)
    before = in_each(use, "renewed_at", LoginSession)
    use("globex")
    verify_login(issued.token.digest)
    use("acme")
    last_used.flush()
    after = in_each(use, "renewed_at", LoginSession)
    assert after[0] == before[0]
    assert after[1] > before[1]


def test_call_of_a_limited_key_is_counted_where_the_key_was_read(use: Use) -> None:
    """Also in a transaction of the caller's, which makes us count on a second connection."""
    issued = keys_of_two_tenants(use, rate=Rate(5, timedelta(minutes=1)))
    use("globex")
    with transaction.atomic(using=place_of(APIKey.objects.get()).alias):
        verify_digest(issued["globex"].key.digest)
    assert in_each(use, "window_calls") == [0, 1]


def test_key_of_an_open_connection_is_read_again_where_it_was_read(use: Use) -> None:
    issued = keys_of_two_tenants(use)
    use("acme")
    principal = verify_digest(issued["acme"].key.digest)
    assert principal.key is not None
    use("globex")
    again = reverify_key(principal.key, ip=None, now=timezone.now())
    assert again.key == principal.key
    assert place_of(again.credential) == place_of(principal.credential)


def test_rows_of_two_tenants_have_names_of_their_own_in_a_cache(use: Use) -> None:
    issued = keys_of_two_tenants(use)
    places = set()
    for tenant in TENANTS:
        use(tenant)
        places.add(str(place_of(verify_digest(issued[tenant].key.digest).credential)))
    assert len(places) == 2


def _names() -> dict[str, Any]:
    name = get_user_model().USERNAME_FIELD
    return {name: f"{uuid.uuid4().hex[:8]}@example.com"}
