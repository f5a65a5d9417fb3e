"""What other packages have issued, read from their tables in the same database.

None of them is imported: a model is found by its label, as Django's registry has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

from pikku_auth.core.secrets import MAX_LENGTH

PREVIEW_LENGTH = 8
"""Characters of a secret that people see, where the other package shows none."""

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """A credential of another package.

    ``digest`` is the SHA-256 or SHA-512 of its secret, in hex; empty where that package has kept
    another form, and ``problem`` says why it can't be taken over. ``user`` is ``None`` where it
    belongs to nobody. ``scopes`` is ``None`` where that package knows none. ``row`` is the row
    there, if it can be deleted.
    """

    digest: str
    preview: str
    name: str = ""
    user: Any = None
    expires_at: datetime | None = None
    problem: str = ""
    scopes: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    row: Model | None = field(default=None, repr=False)


class Peer:
    """Another package: ``name`` is what the command calls it, ``model`` its table's label.

    ``has_users`` says whether its credentials belong to users of this site, ``has_scopes`` whether
    it knows scopes, and ``headers`` where its callers send them.
    """

    name: ClassVar[str]
    has_users: ClassVar[bool] = True
    has_scopes: ClassVar[bool] = False
    default_model: ClassVar[str] = ""
    headers: ClassVar[list[str]]

    def __init__(self, model: str = "") -> None:
        self._label = model or self.default_model

    def credentials(self, now: datetime) -> Iterator[Found]:
        """Each of its credentials, in an order that stays.

        :raises ImproperlyConfigured: when its table can't be read as it is.
        """
        rows = self._model()._default_manager.all()
        rows = rows.select_related("user") if self.has_users else rows
        for row in rows.order_by("pk").iterator(_BATCH):
            yield self._found(row, now)

    def _model(self) -> Any:
        try:
            return apps.get_model(self._label)
        except (LookupError, ValueError) as error:
            raise ImproperlyConfigured(
                f"{self._label} is no model of this project: keep {self.name} in INSTALLED_APPS "
                "while you move, or name its model with --model app.Model."
            ) from error

    def _found(self, row: Any, now: datetime) -> Found:
        raise NotImplementedError


class AuthToken(Peer):
    """``rest_framework.authtoken``: tokens as they are, without an end."""

    name = "authtoken"
    default_model = "authtoken.Token"
    headers: ClassVar[list[str]] = ["Authorization: Token"]

    def _found(self, row: Any, now: datetime) -> Found:
        digest = sha256(row.key.encode()).hexdigest()
        return Found(digest, row.key[:PREVIEW_LENGTH], user=row.user, row=row)


class Knox(Peer):
    """``django-rest-knox``: digests of tokens, most with an end."""

    name = "knox"
    headers: ClassVar[list[str]] = ["Authorization: Token"]

    def __init__(self, model: str = "") -> None:
        super().__init__(model or getattr(settings, "KNOX_TOKEN_MODEL", "knox.AuthToken"))

    def credentials(self, now: datetime) -> Iterator[Found]:
        """As of every package; only of digests that can be verified here."""
        knox = getattr(settings, "REST_KNOX", {})
        length = knox.get("AUTH_TOKEN_CHARACTER_LENGTH", 64) + len(knox.get("TOKEN_PREFIX", ""))
        if length > MAX_LENGTH:
            raise ImproperlyConfigured(
                f"REST_KNOX makes tokens of {length} characters: no more than {MAX_LENGTH} are "
                "looked up."
            )
        configured = knox.get("SECURE_HASH_ALGORITHM", "sha512")
        algorithm = str(configured).rpartition(".")[2].lower()
        if algorithm not in {"sha256", "sha512"}:
            raise ImproperlyConfigured(
                f"REST_KNOX['SECURE_HASH_ALGORITHM'] is {configured!r}: only SHA-256 and SHA-512 "
                "can be verified here."
            )
        return super().credentials(now)

    def _found(self, row: Any, now: datetime) -> Found:
        problem = "it has expired" if row.expiry is not None and row.expiry <= now else ""
        return Found(
            row.digest,
            row.token_key[:PREVIEW_LENGTH],
            user=row.user,
            expires_at=row.expiry,
            problem=problem,
            row=row,
        )


class RESTFrameworkAPIKey(Peer):
    """``djangorestframework-api-key``: digests of keys that belong to nobody."""

    name = "djangorestframework-api-key"
    has_users = False
    default_model = "rest_framework_api_key.APIKey"
    headers: ClassVar[list[str]] = ["Authorization: Api-Key"]

    def _found(self, row: Any, now: datetime) -> Found:
        algorithm, _, digest = row.hashed_key.partition("$$")
        is_known = algorithm == "sha512"
        return Found(
            digest if is_known else "",
            row.prefix,
            name=row.name,
            expires_at=row.expiry_date,
            problem=_problem_of_key(row, is_known=is_known, now=now),
            row=row,
        )


def _problem_of_key(row: Any, *, is_known: bool, now: datetime) -> str:
    if row.revoked:
        return "it is revoked"
    if row.expiry_date is not None and row.expiry_date <= now:
        return "it has expired"
    if not is_known:
        return "only a slow hash of it is kept, until its next use there"
    return ""


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (AuthToken, Knox, RESTFrameworkAPIKey)}
