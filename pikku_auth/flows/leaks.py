"""Whose is this secret? For whoever has found one in a log."""

from __future__ import annotations

from pikku_auth.conf import conf
from pikku_auth.core.secrets import DIGEST, digest_of
from pikku_auth.flows.database import primary
from pikku_auth.models import APIKey, LoginSession


def digests_of(text: str) -> list[str]:
    """What a pasted secret, or the SHA-256 of one, may be stored as."""
    text = text.strip()
    secret = digest_of(text, prefix=conf.key_prefix, accept_foreign=True)
    return [*([secret] if secret else []), *([text] if DIGEST.fullmatch(text) else [])]


def find_leaked(digests: list[str]) -> APIKey | LoginSession | None:
    """The key or the login with one of these digests, dead or alive."""
    for model in (APIKey, LoginSession):
        found = model._default_manager.using(primary()).filter(digest__in=digests).first()
        if found is not None:
            return found
    return None
