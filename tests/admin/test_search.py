"""Searching: by how a text begins, and anywhere in a text where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pikku_auth.admin import search
from pikku_auth.flows import AuditContext, IssuedKey, create_service_user, mint_key, revoke_key
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.admin.pages import EVENTS, KEYS, LOGINS, SERVICE_USERS, html_of, many_keys
from tests.logins import logged_in

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]


def found(client: Client, base: str, term: str) -> list[Any]:
    """The rows of the list, in its order."""
    response = client.get(base, {"q": term})
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


class TestKeys:
    """By what people know of a key."""

    @pytest.fixture(autouse=True)
    def _keys(self, mint: Mint) -> None:
        mint(name="production", metadata={"sandbox": "sb-4711", "tier": "gold"})
        mint_key(create_service_user("builder"), name="Nightly build")

    def names(self, client: Client, term: str) -> list[str]:
        return [key.name for key in found(client, KEYS, term)]

    @pytest.mark.parametrize("term", ["produc", "PRODUC", "sandbox-run", "Sandbox"])
    def test_by_how_the_name_or_the_service_user_begins(self, superuser: Client, term: str) -> None:
        assert self.names(superuser, term) == ["production"]

    @pytest.mark.parametrize("term", ["duction", "runtime", "4711", "gold"])
    def test_not_by_what_is_within(self, superuser: Client, term: str) -> None:
        assert self.names(superuser, term) == []

    @pytest.mark.parametrize("length", [6, 12, 20])
    def test_by_the_beginning_of_the_secret_however_much_of_it(
        self, superuser: Client, mint: Mint, length: int
    ) -> None:
        issued = mint(name="mine")
        assert self.names(superuser, issued.secret.reveal()[:length]) == ["mine"]

    def test_by_a_preview_as_the_list_writes_it(self, superuser: Client) -> None:
        preview = APIKey.objects.get(name="production").preview
        assert self.names(superuser, f"{preview}…") == ["production"]

    @pytest.mark.skipif(connection.vendor == "sqlite", reason="its LIKE takes a for A")
    def test_a_beginning_of_a_secret_has_its_letters_as_they_are(
        self, superuser: Client, mint: Mint
    ) -> None:
        for preview in ("pka_aBcDeFgH", "pka_AbCdEfGh"):
            APIKey.objects.filter(pk=mint(name=preview).key.pk).update(preview=preview)
        assert self.names(superuser, "pka_aBcD") == ["pka_aBcDeFgH"]

    def test_by_several_words_each_a_beginning(self, superuser: Client) -> None:
        assert self.names(superuser, "builder night") == ["Nightly build"]
        assert self.names(superuser, "builder produc") == []

    @pytest.mark.parametrize("term", ["Nightly build", '"Nightly bu"', "nightly"])
    def test_by_a_name_with_a_space(self, superuser: Client, term: str) -> None:
        assert self.names(superuser, term) == ["Nightly build"]

    @pytest.mark.parametrize("sign", ["%", "_", "\\"])
    def test_a_sign_of_like_is_a_letter(self, superuser: Client, mint: Mint, sign: str) -> None:
        mint(name=f"a{sign}b")
        assert self.names(superuser, f"a{sign}") == [f"a{sign}b"]
        assert self.names(superuser, f"{sign}b") == []

    def test_not_by_digest(self, superuser: Client) -> None:
        assert found(superuser, KEYS, APIKey.objects.get(name="production").digest) == []

    @pytest.mark.parametrize("term", ["sb-4711", "4711", "gold", '"sb-4711"'])
    def test_anywhere_in_the_metadata_where_that_is_asked_for(
        self, superuser: Client, term: str
    ) -> None:
        assert self.names(superuser, f"metadata:{term}") == ["production"]
        assert self.names(superuser, f"metadata:{term} produc") == ["production"]
        assert self.names(superuser, f"metadata:{term} builder") == []

    @pytest.mark.parametrize(
        "term", ["Noël", "noël", "Köln", '"say \\"hi\\""', "back\\slash", "東京", '"Köln, 東"']
    )
    def test_in_metadata_that_is_no_ascii(self, superuser: Client, mint: Mint, term: str) -> None:
        metadata = {"of": "Noël noël", "in": "Köln, 東京", "x": 'say "hi" back\\slash'}
        mint(name="far", metadata=metadata)
        assert self.names(superuser, f"metadata:{term}") == ["far"]

    @pytest.mark.parametrize("term", ["metadata:", ":", "a:b", '"', "'", "\\", "…", '"\\"'])
    def test_of_nonsense_finds_nothing_and_is_answered(self, superuser: Client, term: str) -> None:
        many_keys(ServiceUser.objects.all()[0], 1)
        APIKey.objects.update(preview="pka_x", name="k")
        assert self.names(superuser, term) in ([], ["k"] * 3)

    def test_of_more_service_users_than_are_looked_up_first_finds_the_same(
        self, superuser: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "_MOST_RELATED", 0)
        assert self.names(superuser, "builder") == ["Nightly build"]

    def test_says_how_to_search(self, superuser: Client) -> None:
        assert "metadata:word" in html_of(superuser.get(KEYS))


class TestOthers:
    """Logins, service users and events."""

    def test_logins_by_user_client_and_token(
        self, superuser: Client, make_user: Callable[..., Any]
    ) -> None:
        issued, other = logged_in(make_user("ada")), logged_in(make_user("grace"))
        for term in ("ada", "AD", issued.token.preview, issued.token.reveal()[:30]):
            assert found(superuser, LOGINS, term) == [issued.login]
        assert found(superuser, LOGINS, "pikku-c") == [other.login, issued.login]
        assert found(superuser, LOGINS, "da") == []

    def test_service_users_by_name_and_by_a_word_of_what_they_are_for(
        self, superuser: Client, service_user: ServiceUser
    ) -> None:
        builder = create_service_user("builder", description="Builds and tests.")
        assert found(superuser, SERVICE_USERS, "build") == [builder]
        assert found(superuser, SERVICE_USERS, "tests") == []
        assert found(superuser, SERVICE_USERS, "description:TESTS") == [builder]

    @pytest.mark.parametrize("term", ["ci", "sandbox-run", "grace", "192.0.2.7"])
    def test_events_by_subject_service_user_actor_and_address(
        self, superuser: Client, mint: Mint, term: str
    ) -> None:
        context = AuditContext("code", actor_name="grace", ip="192.0.2.7")
        mint_key(create_service_user("builder"))
        mint(name="ci", context=context)
        (event,) = AuditEvent.objects.filter(action="key_minted", actor_name="grace")
        assert event in found(superuser, EVENTS, term)
        assert all("builder" not in one.subject for one in found(superuser, EVENTS, term))

    def test_events_by_the_beginning_of_a_key_that_has_a_name(
        self, superuser: Client, mint: Mint
    ) -> None:
        key = mint(name="ci").key
        mint()
        revoke_key(key)
        actions = [event.action for event in found(superuser, EVENTS, key.preview)]
        assert actions == ["key_revoked", "key_minted"]

    def test_events_by_no_other_address_that_begins_so(self, superuser: Client, mint: Mint) -> None:
        mint(context=AuditContext("code", ip="192.0.2.77"))
        assert found(superuser, EVENTS, "192.0.2.7") == []


@pytest.mark.parametrize("base", [KEYS, LOGINS, SERVICE_USERS, EVENTS])
def test_an_ordinary_search_looks_within_no_text(superuser: Client, base: str) -> None:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        superuser.get(base, {"q": "zebra"})
    assert not [query["sql"] for query in captured if "%zebra" in query["sql"]]


FILL = """
INSERT INTO pikku_auth_apikey (service_user_id, name, preview, digest, permissions, metadata,
        networks, delegation, is_suspended, parent_networks, created_at, enabled, revoke_reason,
        window_calls)
    SELECT {owner}, md5(i::text), 'pka_' || left(md5(i::text), 8), i, '{{}}', '{{}}', '[]', '{{}}',
        false, '[]', now(), true, '', 0
    FROM generate_series(1, 5000) AS i;
INSERT INTO pikku_auth_loginsession (user_id, preview, digest, auth_hash, client_id, user_agent,
        created_at, renewed_at, expires_at, revoke_reason)
    SELECT '{user}', 'pks_' || left(md5(i::text), 8), i, '', md5(i::text), '', now(), now(), now(),
        ''
    FROM generate_series(1, 5000) AS i;
INSERT INTO pikku_auth_auditevent (at, action, subject, actor_name, source, ip, user_agent, details)
    SELECT now(), 'key_minted', md5(i::text), md5((-i)::text), 'code',
        '10.0.0.0'::inet + i, '', '{{}}'
    FROM generate_series(1, 5000) AS i;
ANALYZE;
"""


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL's plan")
def test_an_index_serves_each_search_among_many(
    superuser: Client, service_user: ServiceUser
) -> None:
    with connection.cursor() as cursor:
        for statement in FILL.split(";")[:-1]:
            cursor.execute(statement.format(owner=service_user.pk, user=service_user.user_id))
    for base, term, index in (
        (KEYS, "pka_0000zz", "pikku_auth_api_key_preview"),
        (KEYS, "zebra", "pikku_auth_api_key_name"),
        (LOGINS, "pks_0000zz", "pikku_auth_login_preview"),
        (LOGINS, "zebra", "pikku_auth_login_client"),
        (EVENTS, "zebra", "pikku_auth_event_subject"),
        (EVENTS, "192.0.2.7", "pikku_auth_event_ip"),
    ):
        plan = plan_of(superuser, base, term)
        assert index in plan
        assert "Seq Scan" not in plan


def plan_of(client: Client, base: str, term: str) -> str:
    """How the rows that a search finds are looked for."""
    with CaptureQueriesContext(connection) as captured:
        client.get(base, {"q": term})
    with connection.cursor() as cursor:
        asked = [query["sql"] for query in captured if "LIMIT 10001" in query["sql"]]
        cursor.execute(f"EXPLAIN {asked[-1]}")
        return "\n".join(line for (line,) in cursor.fetchall())
