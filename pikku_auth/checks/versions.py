"""Checks of the installed packages: what has a known hole that concerns this app."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version

import django
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

Version = tuple[int, ...]

_MENDED: dict[Version, Version] = {(5, 2): (5, 2, 13), (6, 0): (6, 0, 4)}


def check_versions(**_kwargs: object) -> list[CheckMessage]:
    """Advise against versions that the package works with, and that should not be used."""
    return [*_django(django.VERSION[:3]), *_requests(_numbers(version("requests")))]


def _django(installed: Version) -> Iterator[CheckMessage]:
    mended = _MENDED.get(installed[:2], installed)
    if installed < mended:
        yield CheckWarning(
            f"Django {_text(installed)} has CVE-2026-3902: under ASGI, a header whose name has "
            "underscores is taken for the one with hyphens, so that a client can add headers "
            "that your proxy removes.",
            hint=f'pip install "Django>={_text(mended)},<{mended[0]}.{mended[1] + 1}"',
            id="pikku_auth.W019",
        )


def _requests(installed: Version) -> Iterator[CheckMessage]:
    if installed < (2, 32, 4):
        yield CheckWarning(
            f"requests {_text(installed)} has CVE-2024-47081: it may send a password of .netrc "
            "to another host. pikku_auth.client.Session never reads .netrc, but other code may.",
            hint='pip install "requests>=2.32.4"',
            id="pikku_auth.W020",
        )


def _numbers(text: str) -> Version:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _text(numbers: Version) -> str:
    return ".".join(map(str, numbers))
