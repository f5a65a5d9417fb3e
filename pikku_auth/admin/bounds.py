"""From where and how often a key may be used: the fields, and the form that changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.actions import ActionForm
from pikku_auth.core.limits import parse_rate
from pikku_auth.flows.keys.attenuation import bounds_of
from pikku_auth.flows.keys.validation import told
from pikku_auth.models import APIKey

T = TypeVar("T")


class NetworksField(forms.CharField):
    """Networks, one per line."""

    widget = forms.Textarea({"class": "vLargeTextField", "rows": 3})

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, list) else (super().to_python(value) or "").split()

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


class BoundsFields(forms.Form):
    """What bounds the use of a key."""

    networks = NetworksField(
        label=_("Allowed networks"),
        required=False,
        help_text=_("One per line, such as 192.0.2.0/24. Empty: from anywhere."),
    )
    rate = forms.CharField(
        label=_("Rate limit"),
        required=False,
        help_text=_("Calls in each window, such as 100/m or 5000/1d. Empty: no limit."),
    )
    quota = forms.IntegerField(
        label=_("Quota"),
        min_value=1,
        required=False,
        help_text=_("Calls in all. Empty: no limit."),
    )
    refill = forms.CharField(
        label=_("Refill"),
        required=False,
        help_text=_("What the quota is set back to and how often, such as 1000/1d. Empty: never."),
    )

    def clean_rate(self) -> Any:
        return parsed(parse_rate, self.cleaned_data["rate"])

    def clean_refill(self) -> Any:
        return parsed(parse_rate, self.cleaned_data["refill"])


class BoundsForm(ActionForm, BoundsFields):
    """The bounds of live keys. A field that is left as it was changes nothing."""

    quota = forms.IntegerField(
        label=_("Calls that are left"), min_value=0, required=False, help_text=_("Empty: no limit.")
    )

    def __init__(self, request: HttpRequest, rows: Sequence[APIKey], data: Any = None) -> None:
        super().__init__(request, rows, data)
        for name, field in self.fields.items():
            # What was there when the page was made: two of the staff may be at it.
            field.show_hidden_initial = True
            values = [bounds_of(key)[name] for key in rows]
            if all(value == values[0] for value in values):
                field.initial = values[0]
            else:
                field.help_text = gettext("These differ. Leave it empty to keep them.")

    def clean(self) -> dict[str, Any]:
        """Only what was changed."""
        given = {
            name: self.cleaned_data[name] for name in self.changed_data if name in self.cleaned_data
        }
        if not given and not self.errors:
            raise forms.ValidationError(gettext("Nothing was changed here."))
        return given


def parsed(parse: Callable[[str], T], text: str) -> T | None:
    """What ``parse`` makes of the text of a field, or ``None`` of an empty one.

    :raises django.forms.ValidationError: with the words of the ``ValueError`` of ``parse``.
    """
    if not text.strip():
        return None
    with as_error():
        return parse(text.strip())


@contextmanager
def as_error() -> Iterator[None]:
    """Turn the ``ValueError`` of a rule into an error of the field that is cleaned."""
    try:
        yield
    except ValueError as error:
        raise forms.ValidationError(told(error)) from None
