"""State."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Sandbox(models.Model):
    """A place where code runs. Made by a machine or by a person: both are users."""

    name = models.CharField(max_length=100)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "sandboxes"

    def __str__(self) -> str:
        return self.name
