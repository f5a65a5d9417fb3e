"""Mails, in plain text, by Django's mail and the host's templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import translation


def message(template: str, to: Sequence[str], context: Mapping[str, Any]) -> EmailMessage:
    """A mail of ``pikku_auth/mail/{template}.txt`` and ``…_subject.txt``, in the site's language.

    The subject becomes one line, so that no text in it adds a header.
    """
    path, given = f"pikku_auth/mail/{template}", dict(context)
    with translation.override(settings.LANGUAGE_CODE):
        subject = render_to_string(f"{path}_subject.txt", given)
        body = render_to_string(f"{path}.txt", given)
    return EmailMessage(" ".join(subject.split()), body, to=list(to))
