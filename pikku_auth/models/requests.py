"""Requests that made something, so that a repeat makes nothing."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from pikku_auth.models.keys import APIKey
from pikku_auth.models.natural_keys import NaturalKeyModel


class UsedRequest(NaturalKeyModel):
    """The id of a request, which its caller chose, as a digest; and what came of it.

    While the request runs it has no ``key``, and is held until ``held_until``: what was killed
    leaves its id free from then on.
    """

    natural_key_fields = ("digest",)

    digest = models.CharField(max_length=64, editable=False)
    body_digest = models.CharField(max_length=64, editable=False)
    key = models.ForeignKey(APIKey, on_delete=models.CASCADE, null=True, related_name="+")
    held_until = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("used request")
        verbose_name_plural = _("used requests")
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="pikku_auth_used_request"),
        ]

    def __str__(self) -> str:
        return f"{self.key or '…'} until {self.expires_at:%Y-%m-%d %H:%M:%S}"
