"""State."""

from __future__ import annotations

from django.conf import settings
from django.db import models

DEFAULT_ORGANISATION = "default"


class Organisation(models.Model):
    """Whose sandboxes they are."""

    name = models.CharField(max_length=100, unique=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name


class Status(models.TextChoices):
    """Whether a sandbox runs. The key of one that does not is refused."""

    RUNNING = "running", "running"
    STOPPED = "stopped", "stopped"


class Sandbox(models.Model):
    """A place where code runs. Made by a machine or by a person: both are users."""

    name = models.CharField(max_length=100)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "sandboxes"

    def __str__(self) -> str:
        return self.name
