"""What was imported from another system, and where it is now."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from pikku_auth.models.keys import APIKey
from pikku_auth.models.logins import LoginSession
from pikku_auth.models.natural_keys import NaturalKeyModel


class ImportedCredential(NaturalKeyModel):
    """A key or a login that another system has issued, by what that has kept of its secret.

    ``digest`` is the SHA-256 or the SHA-512 of the secret, in hex. A row whose key or login was
    deleted stays: it says that the secret is dead here, whatever the other system says of it.
    ``source`` names that system, and ``retired_at`` is when its own row was deleted.
    """

    natural_key_fields = ("digest",)

    source = models.CharField(_("source"), max_length=40)
    digest = models.CharField(max_length=128, editable=False)
    key = models.OneToOneField(
        APIKey, verbose_name=_("key"), on_delete=models.SET_NULL, null=True, related_name="+"
    )
    login = models.OneToOneField(
        LoginSession,
        verbose_name=_("login"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    imported_at = models.DateTimeField(_("imported at"))
    retired_at = models.DateTimeField(_("retired at"), null=True)

    class Meta:
        verbose_name = _("imported credential")
        verbose_name_plural = _("imported credentials")
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="pikku_auth_imported_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.credential or '-'}"

    @property
    def credential(self) -> APIKey | LoginSession | None:
        """The key or the login; ``None`` if it was deleted."""
        return self.key or self.login
