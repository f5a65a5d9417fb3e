"""The admin in German: every word of what it refuses, and the right case of what it counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from freezegun import freeze_time

from pikku_auth.admin.display import ago, ahead
from pikku_auth.admin.history import told
from pikku_auth.flows import deactivate_service_user, disable_key, revoke_key
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.admin.conftest import Staff
from tests.admin.pages import KEYS, MINT, SERVICE_USERS, mint, rotate
from tests.admin.test_key_actions import Mint
from tests.conftest import pikku_settings
from tests.families import child_of, many_children, parent_of

pytestmark = pytest.mark.django_db

HIDDEN = "Lassen Sie {} weg: Man sieht das Zeichen nicht, oder es verschiebt, was daneben steht."


@pytest.fixture(autouse=True)
def _german(settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"


@pytest.fixture
def keeper(staff: Staff) -> Client:
    ours = ["grant_any_scope", "view_apikey", "mint_apikey", "view_serviceuser", "add_serviceuser"]
    return staff(*ours, "change_serviceuser")


NO_DURATION = (
    "'bald' ist keine Dauer: Schreiben Sie eine Zahl und eine Einheit, zum Beispiel 90d, 12h, "
    "30m, 45s, 2w oder 1h30m."
)
NO_SCOPE = (
    "'alles' ist kein Recht: Schreiben Sie Ressource:Aktion, zum Beispiel sandbox:read, oder "
    "sandbox:* für jede Aktion einer Ressource, oder * für alles."
)
UNKNOWN_SCOPE = (
    "Unbekanntes Recht 'sandbox:fly': Meinten Sie sandbox:read oder sandbox:write? "
    "PIKKU_AUTH['SCOPES'] legt die Rechte fest."
)
NO_NETWORK = (
    "'hier' ist kein Netz: Schreiben Sie CIDR, zum Beispiel 192.0.2.0/24 oder 2001:db8::/32."
)
NO_RATE = "'oft' ist keine Rate: Schreiben Sie zum Beispiel 100/m, 5/s oder 1000/12h."
NO_JSON = (
    "Die Metadaten sind kein JSON (der Fehler liegt bei Zeichen 2): Schreiben Sie ein Objekt, "
    'zum Beispiel {"sandbox_id": "sbx_42"}.'
)
NO_OBJECT = 'Metadaten müssen ein JSON-Objekt sein, zum Beispiel {"sandbox_id": "sbx_42"}.'
NO_NAME = (
    "Kein Eintrag der Metadaten darf 'a b' heißen: Nehmen Sie bis zu 64 Buchstaben, Ziffern, "
    "„_“, „.“ oder „-“."
)
TOO_LARGE = (
    "Metadaten haben höchstens 4096 Bytes: Speichern Sie Kennungen, und schlagen Sie den Rest nach."
)
TOO_DEEP = "Metadaten dürfen höchstens 5 Ebenen tief sein."
UNSTORABLE = "Die Metadaten enthalten ein Zeichen oder eine Zahl, die sich nicht speichern lässt."

STOPPED = (
    "Der Dienstnutzer sandbox-runtime ist inaktiv, und sein Schlüssel würde nicht gelten: Nehmen "
    "Sie ihn zuerst in Betrieb, und sorgen Sie dafür, dass sein Django-Nutzer aktiv und weder "
    "Mitarbeiter noch Superuser ist."
)
MORE_RIGHTS = (
    "sandbox-runtime darf, was Sie nicht dürfen (auth.delete_group), und mit dem Geheimnis "
    "könnten Sie es auch: Bitten Sie jemanden, der es darf."
)
DEAD = (
    "Der Schlüssel {key} gilt nicht (widerrufen), und nur ein gültiger lässt sich rotieren: "
    "Erzeugen Sie einen neuen."
)
MALFORMED = (
    "'Builder' kann kein Dienstnutzer heißen: Nehmen Sie bis zu 100 Kleinbuchstaben, Ziffern, "
    "„-“ und „_“, zum Beispiel sandbox-runtime."
)
TAKEN = (
    "Der Name 'sandbox-runtime' ist vergeben, an einen Dienstnutzer oder einen anderen Nutzer: "
    "Wählen Sie einen anderen, oder übernehmen Sie diesen Nutzer."
)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        (
            "name",
            "zwei\u200bZeilen",
            HIDDEN.format("U+200B ZERO WIDTH SPACE"),
        ),
        ("more_scopes", "alles", NO_SCOPE),
        ("more_scopes", "sandbox:fly", UNKNOWN_SCOPE),
        (
            "more_scopes",
            " ".join(f"perm:shop.p{number}" for number in range(201)),
            "Ein Schlüssel darf höchstens 200 Rechte haben.",
        ),
        ("custom_lifetime", "", "Sagen Sie, wie lange, zum Beispiel 12h oder 45d."),
        ("custom_lifetime", "bald", NO_DURATION),
        ("custom_lifetime", "0s", "Eine Dauer muss länger als null sein."),
        ("custom_lifetime", "36501d", "'36501d' ist länger als ein Jahrhundert (36500d)."),
        (
            "custom_lifetime",
            "36500d1s",
            "Eine Dauer darf höchstens ein Jahrhundert lang sein (36500d).",
        ),
        ("networks", "hier", NO_NETWORK),
        (
            "networks",
            "192.0.2.1/24",
            "'192.0.2.1/24' hat gesetzte Bits hinter der Maske: Meinten Sie 192.0.2.0/24?",
        ),
        (
            "networks",
            "fe80::1%eth0",
            "'fe80::1%eth0' hat eine Scope-ID: Schreiben Sie das Netz ohne sie.",
        ),
        (
            "networks",
            "\n".join(f"192.0.2.{number}" for number in range(51)),
            "Ein Schlüssel darf höchstens 50 Netze nennen.",
        ),
        ("rate", "oft", NO_RATE),
        ("rate", "0/m", "Die Zahl einer Rate muss zwischen 1 und 2147483647 liegen."),
        ("rate", "1/0s", "Eine Dauer muss länger als null sein."),
        ("quota", "99999999999", "Ein Kontingent muss zwischen 1 und 2147483647 liegen."),
        ("refill", "10/1d", "Eine Auffüllung braucht ein Kontingent: Geben Sie beides an."),
        ("refill", "oft", NO_RATE),
        ("metadata", "{", NO_JSON),
        ("metadata", "[1]", NO_OBJECT),
        ("metadata", '{"a": 1, "a": 2}', "Die Metadaten nennen einen Eintrag zweimal."),
        ("metadata", '{"a b": 1}', NO_NAME),
        (
            "metadata",
            '{"a": NaN}',
            "Metadaten dürfen NaN nicht enthalten: Das ist kein JSON-Wert.",
        ),
        (
            "metadata",
            '{"a": 1e999}',
            "Metadaten dürfen 'inf' nicht enthalten: Das ist kein JSON-Wert.",
        ),
        ("metadata", '{"a": "\\u0000"}', "Metadaten dürfen kein NUL-Zeichen enthalten."),
        ("metadata", '{"a": "\\ud800"}', UNSTORABLE),
        ("metadata", '{"a": "' + "x" * 4096 + '"}', TOO_LARGE),
        ("metadata", '{"a": ' * 6 + "1" + "}" * 6, TOO_DEEP),
    ],
)
def test_what_is_wrong_with_a_new_key(
    keeper: Client, service_user: ServiceUser, field: str, value: str, says: str
) -> None:
    expires_in = "custom" if field == "custom_lifetime" else "90d"
    response = mint(keeper, service_user, **{"expires_in": expires_in, field: value})
    assert response.context["adminform"].form.errors == {field: [says]}


def test_longer_than_the_host_allows(keeper: Client, service_user: ServiceUser) -> None:
    with pikku_settings(MAX_KEY_LIFETIME=timedelta(days=30)):
        response = mint(keeper, service_user, expires_in="custom", custom_lifetime="31d")
    assert response.context["adminform"].form.errors["expires_in"] == [
        "Ein Schlüssel darf hier höchstens 30d leben (PIKKU_AUTH['MAX_KEY_LIFETIME'])."
    ]


def test_for_a_service_user_that_is_stopped(keeper: Client, service_user: ServiceUser) -> None:
    deactivate_service_user(service_user)
    response = mint(keeper, service_user)
    assert response.context["adminform"].form.errors == {"service_user": [STOPPED]}


def test_for_one_with_more_rights(keeper: Client, service_user: ServiceUser) -> None:
    user: Any = service_user.user
    user.user_permissions.add(Permission.objects.get(codename="delete_group"))
    response = mint(keeper, service_user)
    assert response.context["adminform"].form.errors == {"service_user": [MORE_RIGHTS]}


def test_a_dead_key_is_not_rotated(keeper: Client, mint: Mint) -> None:
    key = mint(name="ci").key
    revoke_key(key)
    says = DEAD.format(key=key)
    assert rotate(keeper, key).context["form"].non_field_errors() == [says]


def test_a_key_is_rotated_once(keeper: Client, mint: Mint) -> None:
    key = mint(name="ci").key
    rotate(keeper, key)
    successor = APIKey.objects.get(rotated_from=key)
    assert rotate(keeper, key).context["form"].non_field_errors() == [
        f"Der Schlüssel {key} wurde schon rotiert: Sein Nachfolger ist {successor}."
    ]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "Builder", MALFORMED),
        ("name", "sandbox-runtime", TAKEN),
        (
            "description",
            "a\u202eb",
            HIDDEN.format("U+202E RIGHT-TO-LEFT OVERRIDE"),
        ),
    ],
)
def test_what_is_wrong_with_a_new_service_user(
    keeper: Client, service_user: ServiceUser, field: str, value: str, says: str
) -> None:
    given = {"name": "builder", "description": "", field: value}
    response = keeper.post(f"{SERVICE_USERS}add/", given)
    assert response.context["adminform"].form.errors == {field: [says]}


DAY = timedelta(days=1)
LENGTHS = [
    (timedelta(minutes=1), "1 Minute"),
    (timedelta(minutes=5), "5 Minuten"),
    (timedelta(hours=1), "1 Stunde"),
    (timedelta(hours=3), "3 Stunden"),
    (DAY, "1 Tag"),
    (3 * DAY, "3 Tagen"),
    (7 * DAY, "1 Woche"),
    (14 * DAY, "2 Wochen"),
    (32 * DAY, "1 Monat"),
    (70 * DAY, "2 Monaten"),
    (366 * DAY, "1 Jahr"),
    (800 * DAY, "2 Jahren"),
]


def choices_of(form: Any, field: str) -> list[str]:
    """What can be chosen, as it reads."""
    return [str(label) for _, label in form.fields[field].choices]


@pytest.mark.parametrize(("length", "words"), LENGTHS)
def test_when_a_key_was_used_and_when_it_expires(length: timedelta, words: str) -> None:
    now = timezone.now()
    with freeze_time(now):
        assert f">vor {words}<" in ago(now - length).replace("\xa0", " ")
        assert f">in {words}<" in ahead(now + length).replace("\xa0", " ")


def test_how_long_a_new_key_may_live(keeper: Client) -> None:
    form = keeper.get(MINT).context["adminform"].form
    assert choices_of(form, "expires_in") == [
        "in 90 Tagen",
        "in 1 Tag",
        "in 7 Tagen",
        "in 30 Tagen",
        "in 365 Tagen",
        "nie",
        "anders, wie unten angegeben",
    ]


def test_how_long_an_old_key_lives_on(keeper: Client, mint: Mint) -> None:
    form = keeper.get(f"{KEYS}act/rotate/?ids={mint().key.pk}").context["form"]
    lives_on = ["lebt noch 1 Stunde", "lebt noch 1 Tag", "lebt noch 7 Tage"]
    assert choices_of(form, "overlap") == lives_on


def test_the_history_says_how_long_it_lived_on(keeper: Client, mint: Mint) -> None:
    rotate(keeper, mint().key, overlap="7d")
    assert told(AuditEvent.objects.get(action="key_rotated")).endswith("; er lebt noch 7 Tage")


class TestKeysThatMakeKeys:
    """What follows a key, and what is wrong with a delegation."""

    @pytest.fixture
    def revoker(self, staff: Staff) -> Client:
        return staff("view_apikey", "mint_apikey", "revoke_apikey", "grant_any_scope", name="rita")

    @pytest.mark.parametrize(
        ("count", "told"),
        [
            (1, "1 Schlüssel, den diese erzeugt haben, wird ebenfalls widerrufen:"),
            (25, "25 Schlüssel, die diese erzeugt haben, werden ebenfalls widerrufen:"),
        ],
    )
    def test_the_question_says_how_many_follow(
        self, revoker: Client, service_user: ServiceUser, count: int, told: str
    ) -> None:
        parent = parent_of(service_user).key
        many_children(parent, count)
        html = revoker.get(f"{KEYS}act/revoke/?ids={parent.pk}").content.decode()
        assert told in html
        assert ("und 5 weitere" in html) is (count == 25)

    def test_the_state_says_what_it_means(self, revoker: Client, service_user: ServiceUser) -> None:
        parent = parent_of(service_user)
        child_of(parent)
        disable_key(parent.key)
        html = revoker.get(f"{KEYS}?state=suspended").content.decode()
        assert "mit seinem Elternschlüssel gestoppt" in html
        assert "Der Schlüssel, der ihn erzeugt hat, ist gesperrt" in html

    def test_the_form_says_what_is_wrong(self, keeper: Client, service_user: ServiceUser) -> None:
        page = mint(keeper, service_user, max_children="7").content.decode()
        assert "Nur ein Schlüssel mit einem Recht wie auth:mint kann für andere" in page
        assert "auth:rotate: Schlüsseln, auch sich selbst, ein neues Geheimnis geben" in page

    def test_the_history_says_how_many_followed(
        self, revoker: Client, service_user: ServiceUser
    ) -> None:
        parent = parent_of(service_user).key
        many_children(parent, 2)
        disable_key(parent)
        event = AuditEvent.objects.get(action="key_disabled")
        assert told(event).endswith("mit 2 Schlüsseln, die er erzeugt hatte")
