"""The smaller forms: how to rotate, and what may be changed of what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.actions import ActionForm
from pikku_auth.admin.base import may
from pikku_auth.admin.display import in_words
from pikku_auth.core.durations import parse_duration
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows.ceilings import checked_ceiling, require_narrower
from pikku_auth.flows.contacts import checked_contacts
from pikku_auth.flows.keys.family import may_have_children
from pikku_auth.flows.keys.validation import check_name
from pikku_auth.flows.service_users import check_description, check_new_name
from pikku_auth.models import APIKey, ServiceUser

T = TypeVar("T")

_AT_ONCE = "now"
_OVERLAPS = ["1h", "24h", "7d"]


class RotateForm(ActionForm):
    """How the old key ends."""

    overlap = forms.ChoiceField(label=_("The old key"))
    keep_children = forms.BooleanField(
        label=_("Keep the keys that it has minted"),
        required=False,
        help_text=_(
            "After a leak nobody knows who has minted them, so they are revoked with a key that is "
            "revoked at once. If you are sure of them, keep them."
        ),
    )

    def __init__(self, request: HttpRequest, rows: Sequence[APIKey], data: Any = None) -> None:
        super().__init__(request, rows, data)
        fields: Any = self.fields
        lives_on = gettext("lives on for %(time)s")
        keeps = [(text, lives_on % {"time": in_words(parse_duration(text))}) for text in _OVERLAPS]
        leaked = [(_AT_ONCE, gettext("is revoked at once, as after a leak"))]
        may_revoke = may(request, "revoke_apikey")
        fields["overlap"].choices = keeps + (leaked if may_revoke else [])
        fields["overlap"].initial = "24h"
        if not (may_revoke and any(map(may_have_children, rows))):
            del fields["keep_children"]

    def clean_overlap(self) -> timedelta | None:
        """How long the old key lives on; ``None`` for not at all."""
        choice = self.cleaned_data["overlap"]
        return None if choice == _AT_ONCE else parse_duration(choice)


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes none at run time
    """What may be changed of a key that lives: what people call it."""

    class Meta:
        model = APIKey
        fields = ("name",)

    def clean_name(self) -> str:
        return _held(check_name, str(self.cleaned_data["name"]))


CEILING_FIELDS = {"has_ceiling", "ceiling"}


def ceiling_fields(request: HttpRequest, row: ServiceUser | None) -> list[str]:
    """The fields of the ceiling that this member of staff may set, or narrow."""
    if may(request, "grant_any_scope"):
        return ["has_ceiling", "ceiling"]
    narrows = row is not None and row.scopes is not None and may(request, "change_serviceuser")
    return ["ceiling"] if narrows else []


class ServiceUserForm(forms.ModelForm):  # type: ignore[type-arg]
    """A service user's name, for good, what it is for, its contacts, and its keys' ceiling."""

    narrow_only = False
    contact_lines = forms.CharField(
        label=_("Contacts"),
        required=False,
        help_text=_("E-mail addresses of those who hear of its keys before they end, one a line."),
        widget=forms.Textarea({"class": "vLargeTextField", "rows": 2}),
    )
    has_ceiling = forms.BooleanField(
        label=_("Limit what its keys may do"),
        required=False,
        help_text=_("Without a ceiling, only users who may grant any scope can make its keys."),
    )
    ceiling = forms.CharField(
        label=_("Ceiling"),
        required=False,
        help_text=_("Scopes, one per line, such as sandbox:read or sandbox:*. Empty: nothing."),
        widget=forms.Textarea({"class": "vLargeTextField", "rows": 3}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scopes = self.instance.scopes
        self.initial.setdefault("has_ceiling", scopes is not None)
        self.initial.setdefault("ceiling", "\n".join(scopes or []))
        self.initial.setdefault("contact_lines", "\n".join(self.instance.contacts))

    def clean_contact_lines(self) -> list[str]:
        """The addresses."""
        lines = map(str.strip, self.cleaned_data["contact_lines"].splitlines())
        return _held(checked_contacts, list(filter(None, lines)))

    def wanted_ceiling(self) -> list[str] | None:
        """The ceiling as it was filled in; ``None`` for none."""
        has_one = self.cleaned_data.get("has_ceiling", "has_ceiling" not in self.fields)
        if "ceiling" not in self.fields or not has_one:
            return None
        return str(self.cleaned_data.get("ceiling", "")).split()

    def clean(self) -> None:
        """Ask the rules about the ceiling."""
        super().clean()
        if "ceiling" not in self.fields:
            return
        try:
            wanted = checked_ceiling(self.wanted_ceiling())
            if self.narrow_only:
                require_narrower(self.instance, wanted)
        except InvalidInput as error:
            self.add_error("ceiling", str(error))

    class Meta:
        model = ServiceUser
        fields = ("name", "description")

    def clean_name(self) -> str:
        return _held(check_new_name, str(self.cleaned_data["name"]))

    def clean_description(self) -> str:
        return _held(check_description, str(self.cleaned_data["description"]))


def _held(check: Callable[[T], object], value: T) -> T:
    """``value``, validated by a rule of ``flows``."""
    try:
        check(value)
    except InvalidInput as error:
        raise forms.ValidationError(str(error)) from None
    return value
