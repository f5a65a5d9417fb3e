"""Who is measured: a view behind each package, and who calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, islice
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django_tenant_apikeys.authentication import TenantAPIKeyAuthentication
from django_tenant_apikeys.models import generate_api_key
from drf_scoped_permissions.authentication import (  # type: ignore[import-untyped]  # has none
    APIKeyAuthentication,
)
from drf_scoped_permissions.models import ScopedAPIKey  # type: ignore[import-untyped]  # has none
from drf_scoped_permissions.permissions import (  # type: ignore[import-untyped]  # has none
    HasAPIKeyOrGroupScope,
)
from knox.auth import (  # type: ignore[import-untyped]  # it has no types
    TokenAuthentication as KnoxAuthentication,
)
from knox.models import AuthToken  # type: ignore[import-untyped]  # it has no types
from oauth2_provider.contrib.rest_framework import (  # type: ignore[import-untyped]  # has none
    OAuth2Authentication,
)
from oauth2_provider.models import AccessToken  # type: ignore[import-untyped]  # it has no types
from rest_framework.authentication import TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_api_key.models import APIKey as RivalKey
from rest_framework_api_key.permissions import HasAPIKey
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.tokens import AccessToken as JSONWebToken

from benchmarks.models import TenantKey
from pikku_auth.conf import conf
from pikku_auth.core.secrets import Secret, generate
from pikku_auth.models import APIKey, LoginSession, ServiceUser
from pikku_auth.models.logins import auth_hashes
from pikku_auth.rest_framework import HasScope, PikkuAuthentication

CALLERS = 1_000
"""How many of the credentials call in turn, so that nobody is flattered by a hot row."""

BASELINE = "rest_framework.authtoken"
OPEN = "no authentication"
PLENTY = 2_000_000_000

Headers = dict[str, str]
View = Callable[[HttpRequest], HttpResponse]


@dataclass(frozen=True)
class Candidate:
    """A view, and the headers of those who may call it. ``setting`` is what a host would set."""

    slug: str
    name: str
    authentication: Any = None
    permission: Any = None
    callers: list[Headers] = field(default_factory=lambda: [{}])
    setting: Callable[[], AbstractContextManager[None]] = nullcontext

    def view(self) -> View:
        """A DRF view that does nothing but let the caller in."""

        class Empty(APIView):
            authentication_classes: Any = [self.authentication] if self.authentication else []
            permission_classes: Any = [self.permission] if self.permission else []
            scope_resource = "sandbox"

            def get(self, request: Request) -> Response:
                return Response()

        return Empty.as_view()


def candidates(number: int) -> list[Candidate]:
    """Fill the tables with ``number`` credentials and owners each, and say who is measured.

    Without any, as a server does that finds them filled, the candidates have no callers.
    """
    users = _filled(_users(number))
    keys, limited = _our_keys(users), _our_keys(users[:CALLERS], rate_count=PLENTY)
    ours: Any = {"authentication": PikkuAuthentication, "permission": HasScope("sandbox:read")}
    people: Any = {"permission": IsAuthenticated}
    everyone = [
        Candidate("open", OPEN),
        Candidate("key", "pikku_auth, a key", **ours, callers=keys),
        Candidate("prepared", "pikku_auth, prepared", **ours, callers=keys, setting=prepare),
        # Twenty, because all are in use again within the half minute for which a row is kept.
        Candidate("cached", "pikku_auth, cached", **ours, callers=keys[:20], setting=use_cache),
        Candidate("limited", "pikku_auth, a rate", **ours, callers=limited),
        Candidate(
            "limited-p", "pikku_auth, a rate, prepared", **ours, callers=limited, setting=prepare
        ),
        Candidate("login", "pikku_auth, a login", **ours, callers=_our_logins(users)),
        Candidate("authtoken", BASELINE, TokenAuthentication, **people, callers=_tokens(users)),
        Candidate("knox", "django-rest-knox", KnoxAuthentication, **people, callers=_knox(users)),
        Candidate(
            "api-key",
            "djangorestframework-api-key",
            permission=HasAPIKey,
            callers=_rival_keys(RivalKey, number),
        ),
        Candidate(
            "scoped",
            "drf-scoped-permissions",
            APIKeyAuthentication,
            HasAPIKeyOrGroupScope,
            _rival_keys(ScopedAPIKey, number, scopes=["sandbox.read"]),
        ),
        Candidate(
            "tenant",
            "django-tenant-apikeys",
            TenantAPIKeyAuthentication,
            callers=_tenant_keys(users),
        ),
        Candidate(
            "oauth",
            "django-oauth-toolkit",
            OAuth2Authentication,
            **people,
            callers=_access_tokens(users),
        ),
        Candidate(
            "jwt",
            "simplejwt, stateless",
            JWTStatelessUserAuthentication,
            **people,
            callers=[_bearer(str(JSONWebToken.for_user(user))) for user in users[:CALLERS]],
        ),
    ]
    is_preparing = connection.vendor == "postgresql"
    return [one for one in everyone if is_preparing or one.setting is not prepare]


@contextmanager
def prepare() -> Iterator[None]:
    """What ``OPTIONS["prepare_threshold"]`` sets, of a connection that is open."""
    connection.ensure_connection()
    driver: Any = connection.connection
    connection.settings_dict["OPTIONS"]["prepare_threshold"] = driver.prepare_threshold = 5
    try:
        yield
    finally:
        connection.settings_dict["OPTIONS"]["prepare_threshold"] = driver.prepare_threshold = None


@contextmanager
def use_cache() -> Iterator[None]:
    """What ``CACHE`` sets, without forgetting what is cached."""
    vars(conf)["cache"] = "default"
    try:
        yield
    finally:
        vars(conf)["cache"] = None


def _filled(rows: Iterable[Model]) -> list[Any]:
    """Save ``rows``, in batches."""
    saved: list[Any] = []
    remaining = iter(rows)
    while batch := list(islice(remaining, 2_000)):
        with transaction.atomic():
            saved += type(batch[0])._default_manager.bulk_create(batch)
    return saved


def _users(number: int) -> Iterator[Model]:
    model = get_user_model()
    for i in range(number):
        yield model(username=f"user-{i}", password="!unusable")  # noqa: S106


def _our_keys(users: list[Any], **limits: Any) -> list[Headers]:
    now, secrets = timezone.now(), list[Secret]()
    owners = users and list(ServiceUser.objects.order_by("pk")[: len(users)])
    owners = owners or _filled(
        ServiceUser(name=f"machine-{user.pk}", user=user, created_at=now) for user in users
    )
    if limits:
        limits["rate_period"] = timedelta(hours=1)
    for _ in owners:
        secrets.append(generate("pka"))
    _filled(
        APIKey(
            service_user=owner,
            preview=secret.preview,
            digest=secret.digest,
            permissions={"sandbox": ["read"]},
            created_at=now,
            last_used_at=now + timedelta(days=1),  # what its writing costs is measured elsewhere
            expires_at=now + timedelta(days=90),
            **limits,
        )
        for owner, secret in zip(owners, secrets, strict=True)
    )
    return [{"x-api-key": secret.reveal()} for secret in secrets[:CALLERS]]


def _our_logins(users: list[Any]) -> list[Headers]:
    now, secrets = timezone.now(), [generate("pks") for _ in users]
    _filled(
        LoginSession(
            user=user,
            preview=secret.preview,
            digest=secret.digest,
            auth_hash=auth_hashes(user)[0],
            permissions={"sandbox": ["read"]},
            client_id="pikku-cli",
            created_at=now,
            renewed_at=now,
            expires_at=now + timedelta(days=7),
            last_used_at=now + timedelta(days=1),
        )
        for user, secret in zip(users, secrets, strict=True)
    )
    return [_bearer(secret.reveal()) for secret in secrets[:CALLERS]]


def _tokens(users: list[Any]) -> list[Headers]:
    tokens = _filled(Token(key=Token.generate_key(), user=user) for user in users)
    return [{"authorization": f"Token {token.key}"} for token in tokens[:CALLERS]]


def _knox(users: list[Any]) -> list[Headers]:
    made = [AuthToken.objects.create(user)[1] for user in users[:CALLERS]]
    expiry = timezone.now() + timedelta(days=1)
    _filled(
        AuthToken(digest=f"{i:0128}", token_key=f"{i:08x}", user=user, expiry=expiry)
        for i, user in enumerate(users[CALLERS:])
    )
    return [{"authorization": f"Token {token}"} for token in made]


def _rival_keys(model: Any, number: int, **fields: Any) -> list[Headers]:
    made = [model.objects.create_key(name=str(i), **fields)[1] for i in range(min(CALLERS, number))]
    _filled(
        model(
            id=f"{i:08}.hash", prefix=f"{i:08}", hashed_key=f"sha512$${i:0128}", name="", **fields
        )
        for i in range(number - CALLERS)
    )
    return [{"authorization": f"Api-Key {key}"} for key in made]


def _tenant_keys(users: list[Any]) -> list[Headers]:
    made, now = [generate_api_key() for _ in users[:CALLERS]], timezone.now()
    # Theirs have prefixes of 32 random bits, of which some of 100,000 would be the same.
    others = ((None, f"tak_live_{i:09x}", f"{i:064}") for i in range(len(users)))
    _filled(
        TenantKey(tenant=user.pk, name="", prefix=prefix, hashed_key=hashed, last_used_at=now)
        for user, (_, prefix, hashed) in zip(users, chain(made, others), strict=False)
    )
    return [{"authorization": f"Api-Key {key}"} for key, _, _ in made]


def _access_tokens(users: list[Any]) -> list[Headers]:
    expires = timezone.now() + timedelta(days=1)
    tokens = _filled(
        AccessToken(token=f"token-{user.pk}", user=user, expires=expires, scope="read")
        for user in users
    )
    return [_bearer(token.token) for token in tokens[:CALLERS]]


def _bearer(token: str) -> Headers:
    return {"authorization": f"Bearer {token}"}
