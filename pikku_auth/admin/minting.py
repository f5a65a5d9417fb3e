"""The page that mints a key."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from pikku_auth.admin.base import WatchingAdmin, origin_of
from pikku_auth.admin.issuing import new_form_id, page_with, use_once
from pikku_auth.admin.mint_form import MintForm
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import mint_key
from pikku_auth.flows.database import primary
from pikku_auth.flows.delegation import require_covers


def mint_view(modeladmin: WatchingAdmin, request: HttpRequest) -> HttpResponse:
    """Ask what the key may do; or mint it, and show its secret once."""
    if not modeladmin.has_add_permission(request):
        raise PermissionDenied
    if request.method != "POST":
        return _ask(modeladmin, request, MintForm(modeladmin.admin_site, initial=_given(request)))
    form = MintForm(modeladmin.admin_site, request.POST)
    if not form.is_valid():
        return _ask(modeladmin, request, form)
    if not use_once(request, request.POST.get("form_id", "")):
        told = _("That form was sent before, and its key was minted and shown then.")
        modeladmin.message_user(request, told, messages.WARNING)
        return HttpResponseRedirect(modeladmin.url_of(modeladmin.model, "changelist"))
    try:
        return _mint(modeladmin, request, form)
    except InvalidInput as error:
        form.blame(error)
        return _ask(modeladmin, request, form)


def _mint(modeladmin: WatchingAdmin, request: HttpRequest, form: MintForm) -> HttpResponse:
    owner = form.cleaned_data["service_user"]
    require_covers(request.user, owner)
    with transaction.atomic(using=primary()):
        issued = mint_key(owner, origin=origin_of(request), **form.options())
        modeladmin.log_addition(request, issued.key, _("Minted."))
        return page_with(modeladmin, request, _("The new key"), [issued])


def _ask(modeladmin: WatchingAdmin, request: HttpRequest, form: MintForm) -> HttpResponse:
    scopes = ["scopes", "more_scopes"] if "scopes" in form.fields else ["more_scopes"]
    limits = ["networks", "rate", "quota", "refill", "metadata"]
    fieldsets: Any = [
        (None, {"fields": ["service_user", "name", *scopes, "expires_in", "custom_lifetime"]}),
        (_("Bounds and metadata"), {"fields": limits, "classes": ["collapse"]}),
    ]
    fields_of: Any = form
    adminform = AdminForm(fields_of, fieldsets, {}, model_admin=modeladmin)
    return modeladmin.page(
        request,
        "mint.html",
        title=_("Mint an API key"),
        adminform=adminform,
        errors=form.errors,
        form_id=new_form_id(),
        media=modeladmin.media + adminform.media,
    )


def _given(request: HttpRequest) -> dict[str, str]:
    """What a link fills in, such as the service user."""
    known = {"service_user", *MintForm.base_fields}
    return {name: str(value) for name, value in request.GET.items() if name in known}
