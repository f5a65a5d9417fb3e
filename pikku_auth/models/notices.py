"""Warnings that were given, so that each is given once."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from pikku_auth.models.keys import APIKey
from pikku_auth.models.natural_keys import NaturalKeyModel


class Notice(NaturalKeyModel):
    """A warning about a key.

    ``about`` tells it from others of the same key: what is the matter, the threshold, and since
    when or until when. While it is sent it is held until ``held_until``, so that no other run sends
    it too; what was killed is sent again after that. ``None`` says that it was sent.
    """

    natural_key_fields = ("key__digest", "about")

    key = models.ForeignKey(
        APIKey, on_delete=models.CASCADE, related_name="notices", db_index=False
    )
    about = models.CharField(max_length=100)
    held_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints = [
            models.UniqueConstraint(fields=["key", "about"], name="pikku_auth_notice_once"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.about}"

    def natural_key(self) -> tuple[Any, ...]:
        return self.key.digest, self.about
