"""By what mails are sent, in the words of each Django."""

from __future__ import annotations

import django
from pytest_django import Settings

IN_MEMORY = "django.core.mail.backends.locmem.EmailBackend"


def mail_by(settings: Settings, backend: str) -> None:
    """Send mails by that backend. Django 6.1 has another setting for it."""
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": backend}}
    else:
        settings.EMAIL_BACKEND = backend
