"""Find the owner of a secret that was found in a log."""

from __future__ import annotations

import re

from pikku_auth.conf import conf
from pikku_auth.core.secrets import DIGEST, digest_of, foreign_digests, found_in
from pikku_auth.flows.database import primary
from pikku_auth.flows.imported import find_imported
from pikku_auth.models import APIKey, LoginSession

_DIGEST = re.compile(rf"(?<![0-9A-Za-z]){DIGEST.pattern}(?![0-9A-Za-z])")
_MOST = 20


def digests_of(text: str) -> list[str]:
    """What a pasted secret, or the SHA-256 of one, may be stored as.

    It may be in the midst of a line of a log; one of another system has to stand alone.
    """
    secrets = [*found_in(text)[:_MOST], text.strip()]
    prefix = conf.prefixes.key
    ours = [digest_of(one, prefix=prefix) for one in secrets]
    others = [digest for one in secrets for digest in foreign_digests(one, prefixes=[prefix])]
    return [*filter(None, ours), *others, *_DIGEST.findall(text.lower())[:_MOST]]


def find_leaked(digests: list[str]) -> APIKey | LoginSession | None:
    """The key or the login with one of these digests, dead or alive."""
    for model in (APIKey, LoginSession):
        found = model._default_manager.using(primary()).filter(digest__in=digests).first()
        if found is not None:
            return found
    imported = find_imported(tuple(digests), using=primary())
    return None if imported is None else imported.credential
