"""What a key that manages keys may do, and for whom: the fields of the form that mints it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.bounds import as_error
from pikku_auth.admin.widgets import ServiceUserSelectMultiple
from pikku_auth.core.delegation import EVERY, MAX_CHILDREN, Delegation
from pikku_auth.models import APIKey, ServiceUser

DELEGATION = ["for_services", "every_service", "child_metadata", "max_children"]
MANAGING = ["auth_scopes", *DELEGATION]

_SCOPES = {
    "auth:mint": _("mint keys, which have no more than this one; rename and enable them"),
    "auth:read": _("list keys"),
    "auth:revoke": _("revoke and disable keys"),
    "auth:rotate": _("give keys, itself among them, a new secret"),
    "auth:introspect": _("learn of any key that it is shown whose it is and what it may do"),
    "auth:introspect_logins": _("learn the same of the logins of people"),
}


class ManagingFields(forms.Form):
    """Scopes of the resource ``auth``, and the delegation that goes with them."""

    auth_scopes = forms.MultipleChoiceField(
        label=_("It may manage keys"),
        required=False,
        choices=[(scope, format_lazy("{}: {}", scope, text)) for scope, text in _SCOPES.items()],
        help_text=_("No other scope includes any of these, not even *."),
        widget=forms.CheckboxSelectMultiple,
    )
    every_service = forms.BooleanField(
        label=_("Of every service user"),
        required=False,
        help_text=_("Only for a key that lists keys or learns of them, and changes none."),
    )
    child_metadata = forms.CharField(
        label=_("Metadata that its keys may add"),
        required=False,
        help_text=_(
            "One name per line, such as sandbox_id. The keys that it mints have its metadata, and "
            "may add members of these names only."
        ),
        widget=forms.Textarea({"class": "vLargeTextField", "rows": 3}),
    )
    max_children = forms.IntegerField(
        label=_("Its keys alive at most"),
        min_value=1,
        max_value=MAX_CHILDREN,
        required=False,
        help_text=_("Empty: 1000."),
    )

    def offer_service_users(
        self, site: AdminSite, owners: QuerySet[ServiceUser], *, may_name_every: bool
    ) -> None:
        """Let the key act for ``owners``, and for all there will be if the viewer may say so."""
        self.fields["for_services"] = forms.ModelMultipleChoiceField(
            owners,
            label=_("Of these service users, too"),
            required=False,
            help_text=_("It may manage the keys of its own service user, and of these."),
            widget=ServiceUserSelectMultiple(APIKey._meta.get_field("service_user"), site),
        )
        if not may_name_every:
            del self.fields["every_service"]

    def clean_for_services(self) -> tuple[str, ...]:
        names = [row.name for row in self.cleaned_data["for_services"]]
        with as_error():
            return Delegation(service_users=tuple(names)).service_users

    def clean_child_metadata(self) -> tuple[str, ...]:
        names = self.cleaned_data["child_metadata"].split()
        with as_error():
            return Delegation(metadata=tuple(names)).metadata

    def delegation(self) -> Delegation | None:
        """What was said; ``None`` if nothing was."""
        given = self.cleaned_data
        parts = {
            "service_users": (EVERY,) if given.get("every_service") else given.get("for_services"),
            "metadata": given.get("child_metadata"),
            "most": given.get("max_children"),
        }
        said: dict[str, Any] = {name: value for name, value in parts.items() if value}
        return Delegation(**said) if said else None
