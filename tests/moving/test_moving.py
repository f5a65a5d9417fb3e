"""A project on another package is moved, and its callers notice nothing."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from tests.docs.pages import examples
from tests.moving.site import KEYS_ONLY, VIEWS, Site, blurred, printed_in

TOKEN_VIEWS, KEY_VIEWS, SETTING, _ = examples("moving.md")
BY_AUTHTOKEN, BY_KNOX, BY_API_KEY, AGAIN, _, RETIRING = examples("moving.md", "console")

MAKE_USERS = """\
from django.contrib.auth.models import User
ada, bot, eve = [User.objects.create_user(n, password="x") for n in ("ada", "ci-bot", "eve")]
"""
AUTHTOKEN = """
INSTALLED_APPS += ["rest_framework.authtoken"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"]
}
"""
KNOX = """
INSTALLED_APPS += ["knox"]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["knox.auth.TokenAuthentication"]}
"""
API_KEY = """
INSTALLED_APPS += ["rest_framework_api_key"]
"""
GONE = """
INSTALLED_APPS.remove("{app}")
REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"] = [
    "pikku_auth.rest_framework.PikkuAuthentication"
]
"""


@pytest.mark.timeout(300)
def test_project_on_authtoken_is_moved(tmp_path: Path) -> None:
    site = Site(tmp_path, header="Authorization: Token ")
    site.append(AUTHTOKEN)
    site.write_views(VIEWS.format(imports="", permission="IsAuthenticated"))
    site.manage("migrate")
    secrets = site.python(
        f"{MAKE_USERS}from rest_framework.authtoken.models import Token\n"
        "told = {user.username: Token.objects.create(user=user).key for user in (ada, bot, eve)}\n"
        "eve.is_active = False; eve.save()"
    )
    secrets["nobody"] = "0" * 40
    before = {
        "ada": (200, "ada"), "ci-bot": (200, "ci-bot"), "eve": (401, None), "nobody": (401, None)
    }  # fmt: skip
    assert site.answers(secrets) == before
    site.join()
    site.write_views(TOKEN_VIEWS)
    site.append(SETTING)
    assert site.answers(secrets) == before
    assert blurred(site.type(BY_AUTHTOKEN)) == blurred(printed_in(BY_AUTHTOKEN))
    assert site.answers(secrets) == before
    stored = site.python(
        "from pikku_auth.models import APIKey, LoginSession\n"
        "told = [*APIKey.objects.values_list('digest', flat=True),"
        " *LoginSession.objects.values_list('digest', flat=True)]"
    )
    assert len(stored) == 2
    assert all(len(digest) == 64 and digest.isalnum() for digest in stored)
    site.manage("revoke_logins", "ada", "--no-input")
    revoked = {**before, "ada": (401, None)}
    assert site.answers(secrets) == revoked
    again = site.manage("import_keys", "--from", "authtoken", "--adopt", "ci-bot",
                        "--scope", "reports:read")  # fmt: skip
    assert "dead here, and alive there: " in again
    site.manage("import_keys", "--from", "authtoken", "--retire")
    left = (
        "from rest_framework.authtoken.models import Token\n"
        "told = sorted(Token.objects.values_list('user__username', flat=True))"
    )
    assert site.python(left) == ["ci-bot", "eve"]
    site.manage("import_keys", "--from", "authtoken", "--retire", "all")
    assert site.python(left) == ["eve"]
    site.append(GONE.format(app="rest_framework.authtoken"))
    assert site.answers(secrets) == revoked


@pytest.mark.timeout(300)
def test_project_on_knox_is_moved(tmp_path: Path) -> None:
    site = Site(tmp_path, header="Authorization: Token ")
    site.append(KNOX)
    site.write_views(VIEWS.format(imports="", permission="IsAuthenticated"))
    site.manage("migrate")
    secrets = site.python(
        f"{MAKE_USERS}from knox.models import AuthToken\n"
        "from datetime import timedelta\n"
        "told = {'ada': AuthToken.objects.create(ada)[1],"
        " 'ci-bot': AuthToken.objects.create(bot, expiry=None)[1],"
        " 'eve': AuthToken.objects.create(eve, expiry=timedelta(seconds=-1))[1]}"
    )
    expired = secrets.pop("eve")  # which knox deletes when it is used
    before = {"ada": (200, "ada"), "ci-bot": (200, "ci-bot")}
    assert site.answers(secrets) == before
    site.join()
    site.write_views(TOKEN_VIEWS)
    site.append(SETTING)
    assert blurred(site.type(BY_KNOX)) == blurred(printed_in(BY_KNOX))
    digests = (
        "from pikku_auth.models import APIKey, LoginSession\n"
        "told = {'ada': LoginSession.objects.get().digest, 'ci-bot': APIKey.objects.get().digest}"
    )
    assert all(digest.startswith("sha512:") for digest in site.python(digests).values())

    def is_converted() -> bool:
        told = site.python(digests)
        assert told["ci-bot"].startswith("sha512:")
        return told["ada"] == sha256(secrets["ada"].encode()).hexdigest()

    assert site.answers({"ada": secrets["ada"]}, until=is_converted) == {"ada": (200, "ada")}
    assert site.answers({"eve": expired}) == {"eve": (401, None)}
    assert blurred(site.type(AGAIN)) == blurred(printed_in(AGAIN))
    (preview,) = {secrets["ci-bot"][:8]}
    site.manage("revoke_key", preview, "--no-input")
    revoked = {"ada": (200, "ada"), "ci-bot": (401, None)}
    assert site.answers(secrets) == revoked
    assert blurred(site.type(RETIRING)) == blurred(printed_in(RETIRING))
    site.manage("import_keys", "--from", "knox", "--retire", "all")
    assert site.python("from knox.models import AuthToken\ntold = AuthToken.objects.count()") == 0
    site.append(GONE.format(app="knox"))
    assert site.answers(secrets) == revoked


@pytest.mark.timeout(300)
def test_project_on_djangorestframework_api_key_is_moved(tmp_path: Path) -> None:
    site = Site(tmp_path, header="Authorization: Api-Key ")
    site.append(API_KEY)
    site.write_views(
        VIEWS.format(
            imports="from rest_framework_api_key.permissions import HasAPIKey",
            permission="HasAPIKey",
        )
    )
    site.manage("migrate")
    secrets = site.python(
        "from datetime import timedelta\n"
        "from django.contrib.auth.hashers import make_password\n"
        "from django.utils.timezone import now\n"
        "from rest_framework_api_key.models import APIKey\n"
        "make = APIKey.objects.create_key\n"
        "told = {'billing': make(name='billing', expiry_date=now() + timedelta(days=90))[1],"
        " 'nightly': make(name='nightly')[1]}\n"
        "old, told['old'] = make(name='old')\n"
        "APIKey.objects.filter(pk=old.pk).update(hashed_key=make_password(told['old'], "
        "hasher='pbkdf2_sha256'))"
    )
    # An unknown user has an empty name, and a service user its own.
    live = {"billing": secrets["billing"], "nightly": secrets["nightly"]}
    assert site.answers(live) == {"billing": (200, ""), "nightly": (200, "")}
    site.join()
    site.write_views(KEY_VIEWS)
    site.append(SETTING)
    assert blurred(site.type(BY_API_KEY)) == blurred(printed_in(BY_API_KEY))
    moved = {"billing": (200, "reporting"), "nightly": (200, "reporting")}
    assert site.answers(live) == moved
    assert site.answers(secrets) == {**moved, "old": (200, "")}
    again = site.manage("import_keys", "--from", "djangorestframework-api-key",
                        "--service", "reporting", "--scope", "reports:read")  # fmt: skip
    assert "imported: " in again  # its use there has converted it
    moved["old"] = (200, "reporting")
    assert site.answers(secrets) == moved
    site.manage("revoke_key", secrets["billing"][:8], "--no-input")
    revoked = {**moved, "billing": (401, None)}
    assert site.answers(secrets) == revoked
    site.manage("import_keys", "--from", "djangorestframework-api-key", "--retire", "all")
    site.write_views(KEYS_ONLY)
    site.append(GONE.format(app="rest_framework_api_key"))
    assert site.answers(secrets) == revoked
