"""What docs/choosing.md says of other packages is in their installed code."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.version import Version

from tests.docs.pages import text_of

MODULES = {
    "knox": "knox",
    "api-key": "rest_framework_api_key",
    "oauth-toolkit": "oauth2_provider",
    "simplejwt": "rest_framework_simplejwt",
    "allauth": "allauth",
}


class Fact(NamedTuple):
    """What a cell says, and the lines of a package that make it true."""

    row: str
    package: str
    cell: str
    file: str
    pattern: str


FACTS = [
    Fact(
        "A credential", "knox", "a user", "models.py",
        r"user = models\.ForeignKey\(User, null=False",
    ),
    Fact(
        "A credential", "simplejwt", "a user", "authentication.py",
        r"return self\.get_user\(validated",
    ),
    Fact(
        "A credential",
        "oauth-toolkit",
        "a user, or an application",
        "models.py",
        r"class AbstractAccessToken(.|\n)*?user = models\.ForeignKey\((.|\n)*?null=True",
    ),
    Fact("Stored", "knox", "SHA-512", "settings.py", r"'hashlib\.sha512'"),
    Fact("Stored", "api-key", "SHA-512", "crypto.py", r"preferred_hasher = Sha512ApiKeyHasher"),
    Fact(
        "Stored",
        "oauth-toolkit",
        "clear text and SHA-256; SHA-256 alone by a setting",
        "models.py",
        r"if oauth2_settings\.COMPLIANT_BCP_RFC9700_TOKEN_STORAGE:",
    ),
    Fact(
        "Stored",
        "allauth",
        "session; a hash for OpenID Connect",
        "idp/oidc/models.py",
        r"self\.hash = get_adapter\(\)\.hash_token\(value\)",
    ),
    Fact("Lives", "knox", "10 hours", "settings.py", r"'TOKEN_TTL': timedelta\(hours=10\)"),
    Fact("Lives", "api-key", "for ever", "models.py", r"if self\.expiry_date is None"),
    Fact(
        "Lives", "oauth-toolkit", "10 hours", "settings.py",
        r'"ACCESS_TOKEN_EXPIRE_SECONDS": 36000',
    ),
    Fact(
        "Lives", "simplejwt", "5 minutes", "settings.py",
        r'"ACCESS_TOKEN_LIFETIME": timedelta\(minutes=5\)',
    ),
    Fact("Scopes", "oauth-toolkit", "yes", "models.py", r"scope = models\.TextField"),
    Fact(
        "Scopes", "allauth", "for OpenID Connect", "idp/oidc/models.py",
        r"scopes = models\.TextField",
    ),
    Fact(
        "Revoked", "simplejwt", "refresh tokens only", "tokens.py",
        r"class RefreshToken\(BlacklistMixin",
    ),
    Fact(
        "Rotation", "oauth-toolkit", "of refresh tokens", "settings.py",
        r'"ROTATE_REFRESH_TOKEN": True',
    ),
    Fact(
        "Rotation", "simplejwt", "of refresh tokens", "settings.py", r'"ROTATE_REFRESH_TOKENS"'
    ),
    Fact(
        "Rotation", "allauth", "of refresh tokens", "headless/app_settings.py",
        r"JWT_ROTATE_REFRESH_TOKEN",
    ),
    Fact(
        "Last use", "allauth", "for sessions", "usersessions/models.py",
        r"last_seen_at = models\.DateTimeField",
    ),
    Fact("Login in", "oauth-toolkit", "yes", "views/device.py", r"class DeviceAuthorizationView"),
    Fact(
        "Login in", "allauth", "for OpenID Connect", "idp/oidc/urls.py", r'"device/code"'
    ),
    Fact("Consent", "oauth-toolkit", "yes", "views/base.py", r"class AuthorizationView"),
    Fact(
        "Consent", "allauth", "for OpenID Connect", "idp/oidc/models.py",
        r"skip_consent = models\.BooleanField",
    ),
    Fact("Sign-up", "allauth", "yes", "account/urls.py", r'"signup/"'),
    Fact(
        "Can be", "simplejwt", "yes", "authentication.py", r"class JWTStatelessUserAuthentication"
    ),
    Fact("Can be", "allauth", "with JWTs", "headless/app_settings.py", r"JWT_PRIVATE_KEY"),
]  # fmt: skip

ABSENT = {
    "Scopes": r"\bscopes?\b",
    "Last use": r"last_(used|seen)",
    "Login in": r"device_code|device_grant",
    "Allowed": r"allowed_(networks|ips|addresses)",
    "Rate": r"\bquota\b|throttle_scope|SimpleRateThrottle",
}
"""What is nowhere in a package whose cell says no."""


def table() -> dict[str, dict[str, str]]:
    """The cells of the table, by row and column."""
    lines = re.findall(r"^\| .*$", text_of("choosing.md"), re.MULTILINE)
    head, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: dict(zip(head[1:], cells, strict=True)) for name, *cells in rows}


def row_of(beginning: str) -> dict[str, str]:
    (found,) = [row for name, row in table().items() if name.startswith(beginning)]
    return found


def folder_of(package: str) -> Path:
    spec = find_spec(MODULES[package])
    assert spec
    assert spec.origin
    return Path(spec.origin).parent


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.row}-{fact.package}")
def test_cell_says_what_the_code_does(fact: Fact) -> None:
    assert row_of(fact.row)[fact.package] == fact.cell
    assert re.search(fact.pattern, (folder_of(fact.package) / fact.file).read_text())


@pytest.mark.parametrize(
    ("row", "package"),
    [
        (row, package)
        for row in ABSENT
        for package in MODULES
        if row_of(row)[package] == "no" and package != "allauth"
    ],
)
def test_nothing_of_it_is_in_a_package_that_has_it_not(row: str, package: str) -> None:
    files = [
        path
        for path in folder_of(package).rglob("*.py")
        if not {"tests", "migrations"} & set(path.parts)
    ]
    assert [path for path in files if re.search(ABSENT[row], path.read_text())] == []


def test_the_versions_are_installed_or_newer_ones() -> None:
    named = dict(re.findall(r"([a-z-]+) (\d+\.\d+)\b", text_of("choosing.md").partition("## ")[0]))
    packages = {
        "django-rest-knox", "djangorestframework-api-key", "django-oauth-toolkit",
        "djangorestframework-simplejwt", "django-allauth",
    }  # fmt: skip
    assert set(named) == packages
    for name, told in named.items():
        assert Version(version(name)) >= Version(told), name
