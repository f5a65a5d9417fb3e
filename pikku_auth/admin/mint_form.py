"""The form that a key is minted with. It explains itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.bounds import BoundsFields, parsed
from pikku_auth.admin.display import IN_OR_AGO, in_words
from pikku_auth.admin.managing import DELEGATION, ManagingFields
from pikku_auth.admin.widgets import ServiceUserSelect
from pikku_auth.conf import conf
from pikku_auth.core.durations import format_duration, parse_duration
from pikku_auth.core.metadata import parse_metadata
from pikku_auth.core.permissions import scope_strings
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows.keys.validation import capped, of_key
from pikku_auth.models import APIKey, ServiceUser

_NEVER, _CUSTOM = "never", "custom"
_LIFETIMES = ["1d", "7d", "30d", "90d", "365d"]
_FIELD_OF = {"scopes": "more_scopes", "lifetime": "expires_in", "delegation": "auth_scopes"}
_RULES: list[tuple[list[str], list[str]]] = [
    (["name"], ["name"]),
    (["scopes", "more_scopes", "auth_scopes"], ["scopes"]),
    (["scopes", "more_scopes", "auth_scopes", *DELEGATION], ["scopes", "delegation"]),
    (["expires_in", "custom_lifetime"], ["lifetime"]),
    (["networks"], ["networks"]),
    (["quota", "refill"], ["quota", "refill"]),
]
"""Fields that a rule is about, and what the verb calls them."""

_LONG = {"class": "vTextField"}
_LINES = {"class": "vLargeTextField", "rows": 3}


class MintForm(BoundsFields, ManagingFields):
    """A new key. Its fields are the options of :func:`pikku_auth.flows.mint_key`."""

    name = forms.CharField(
        label=_("Name"),
        max_length=200,
        required=False,
        help_text=_("What the key is for, for people: “production”, “Ada's laptop”."),
        widget=forms.TextInput(_LONG),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        required=False,
        help_text=_("What the key may do. With none it can authenticate, and nothing else."),
        widget=forms.CheckboxSelectMultiple,
    )
    more_scopes = forms.CharField(
        label=_("More scopes"),
        required=False,
        widget=forms.Textarea(_LINES),
    )
    expires_in = forms.ChoiceField(label=_("Expires"))
    custom_lifetime = forms.CharField(
        label=_("Another lifetime"),
        required=False,
        help_text=_("If you chose “another”: a duration such as 12h, 45d or 1h30m."),
        widget=forms.TextInput({"class": "vTextField", "placeholder": "12h"}),
    )
    metadata = forms.CharField(
        label=_("Metadata"),
        required=False,
        help_text=_("A JSON object that your code gets with each request: ids, never secrets."),
        widget=forms.Textarea({**_LINES, "placeholder": '{"sandbox": "b2f7"}'}),
    )

    def __init__(
        self,
        site: AdminSite,
        owners: QuerySet[ServiceUser],
        data: Any = None,
        initial: Any = None,
        *,
        may_name_every: bool = False,
    ) -> None:
        super().__init__(data, initial=initial)
        fields: Any = self.fields
        owner = APIKey._meta.get_field("service_user")
        self.offer_service_users(site, owners, may_name_every=may_name_every)
        self.fields["service_user"] = forms.ModelChoiceField(
            owners,
            label=_("Service user"),
            help_text=_("The machine that will own the key. Only active ones can use it."),
            widget=ServiceUserSelect(owner, site),
        )
        fields["expires_in"].choices = _lifetimes()
        vocabulary = conf.scopes
        fields["scopes"].choices = _checkboxes(vocabulary)
        fields["more_scopes"].help_text = (
            _("One per line: perm:app.codename for a permission of Django's, or * for everything.")
            if vocabulary
            else _("One per line, such as sandbox:read, sandbox:* or * for everything.")
        )
        if not vocabulary:
            del fields["scopes"]
            fields["more_scopes"].label = _("Scopes")

    def clean_metadata(self) -> Any:
        return parsed(parse_metadata, self.cleaned_data["metadata"])

    def clean_custom_lifetime(self) -> Any:
        text = self.cleaned_data["custom_lifetime"]
        if not text and self.data.get("expires_in") == _CUSTOM:
            raise forms.ValidationError(gettext("Say how long, for example 12h or 45d."))
        return parsed(parse_duration, text)

    def clean(self) -> None:
        """Ask the verb's rules about each field, so that all that is wrong is said at once."""
        options = self.options()
        for fields, names in _RULES:
            if self.errors.keys().isdisjoint(fields):
                try:
                    of_key(now=timezone.now(), **{name: options[name] for name in names})
                except InvalidInput as error:
                    self.blame(error)

    def options(self) -> dict[str, Any]:
        """The arguments of ``mint_key``, except the service user."""
        given = self.cleaned_data
        return {
            "name": given.get("name", ""),
            "scopes": [
                *given.get("scopes", []),
                *given.get("auth_scopes", []),
                *given.get("more_scopes", "").split(),
            ],
            "lifetime": self._lifetime(),
            "metadata": given.get("metadata"),
            "networks": given.get("networks", []),
            "rate": given.get("rate"),
            "quota": given.get("quota"),
            "refill": given.get("refill"),
            "delegation": self.delegation(),
        }

    def blame(self, error: InvalidInput) -> None:
        """Show what a verb refused at the field that it is about."""
        name = _FIELD_OF.get(error.field, error.field)
        self.add_error(name if name in self.fields else None, str(error))

    def _lifetime(self) -> timedelta | None:
        match self.cleaned_data.get("expires_in"):
            case None | "never":
                return None
            case "custom":
                custom: timedelta | None = self.cleaned_data.get("custom_lifetime")
                return custom
            case choice:
                return parse_duration(choice)


def _checkboxes(vocabulary: dict[str, list[str]] | None) -> list[tuple[str, str]]:
    return [
        (scope, scope)
        for resource, actions in (vocabulary or {}).items()
        for scope in [*scope_strings({resource: actions}), f"{resource}:*"]
    ]


def _lifetimes() -> list[tuple[str, Any]]:
    """The presets that the host's longest lifetime allows, the default one first."""
    cap, default = conf.max_key_lifetime, conf.default_key_lifetime
    lengths = {parse_duration(text) for text in _LIFETIMES} | ({default} if default else set())
    allowed = sorted(length for length in lengths if cap is None or length <= cap)
    choices = [
        (format_duration(length), gettext("in %(time)s") % {"time": in_words(length, IN_OR_AGO)})
        for length in allowed
    ]
    if cap is None:
        choices.append((_NEVER, gettext("never")))
    choices.append((_CUSTOM, gettext("another time, given below")))
    first = format_duration(capped(default) or default) if default else _NEVER
    return sorted(choices, key=lambda choice: choice[0] != first)
