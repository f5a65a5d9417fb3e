"""The page that mints a key."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _

from pikku_auth.admin.base import WatchingAdmin, context_of, may
from pikku_auth.admin.form_ids import form_of, new_form_id
from pikku_auth.admin.managing import MANAGING
from pikku_auth.admin.mint_form import MintForm
from pikku_auth.admin.secret_response import page_with
from pikku_auth.core.permissions import normalise
from pikku_auth.exceptions import InvalidInput, RequestRepeated, RequestRunning
from pikku_auth.flows import mint_key
from pikku_auth.flows.ceilings import GRANT_ANY_SCOPE, require_grantable
from pikku_auth.flows.privileges import manageable, require_covers
from pikku_auth.flows.request_ids import HeldRequest, once
from pikku_auth.models import ServiceUser


def mint_view(modeladmin: WatchingAdmin, request: HttpRequest) -> HttpResponse:
    """Ask what the key may do; or mint it, and show its secret once."""
    if not modeladmin.has_add_permission(request):
        raise PermissionDenied
    if request.method != "POST":
        return _ask(modeladmin, request, _form(modeladmin, request, initial=_given(request)))
    form, sent = _form(modeladmin, request, request.POST), form_of(request)
    if sent is None:
        form.add_error(None, _("That form was open for too long. Please send it again."))
    if not form.is_valid():
        return _ask(modeladmin, request, form)
    try:
        with once("admin", sent, "", timezone.now()) as held:
            return _mint(modeladmin, request, form, held)
    except (RequestRepeated, RequestRunning):
        told = _("That form was sent before, and its key was minted and shown then.")
        modeladmin.message_user(request, told, messages.WARNING)
        return HttpResponseRedirect(modeladmin.way_back(request))
    except InvalidInput as error:
        form.blame(error)
        return _ask(modeladmin, request, form)


def _form(
    modeladmin: WatchingAdmin, request: HttpRequest, data: Any = None, initial: Any = None
) -> MintForm:
    site, owners = modeladmin.admin_site, _owners(request)
    may_name_every = request.user.has_perm(GRANT_ANY_SCOPE)
    return MintForm(site, owners, data, initial, may_name_every=may_name_every)


def _mint(
    modeladmin: WatchingAdmin, request: HttpRequest, form: MintForm, held: HeldRequest
) -> HttpResponse:
    owner = form.cleaned_data["service_user"]
    require_covers(request.user, owner)
    options = form.options()
    require_grantable(request.user, owner, normalise(options["scopes"]))
    issued = mint_key(owner, context=context_of(request), **options)
    held.made(issued.key)
    modeladmin.log_addition(request, issued.key, _("Minted."))
    return page_with(modeladmin, request, _("The new key"), [issued])


def _ask(modeladmin: WatchingAdmin, request: HttpRequest, form: MintForm) -> HttpResponse:
    scopes = ["scopes", "more_scopes"] if "scopes" in form.fields else ["more_scopes"]
    limits = ["networks", "rate", "quota", "refill", "metadata"]
    managing = [name for name in MANAGING if name in form.fields]
    fieldsets: Any = [
        (None, {"fields": ["service_user", "name", *scopes, "expires_in", "custom_lifetime"]}),
        (_("Bounds and metadata"), {"fields": limits, "classes": ["collapse"]}),
        (
            _("Managing keys"),
            {
                "fields": managing,
                "classes": ["collapse"],
                "description": _(
                    "For a machine that makes keys itself, such as one for each of its sandboxes. "
                    "What it makes has no more than its own key has, and ends with that."
                ),
            },
        ),
    ]
    fields_of: Any = form
    adminform = AdminForm(fields_of, fieldsets, {}, model_admin=modeladmin)
    return modeladmin.page(
        request,
        "mint.html",
        title=_("Mint an API key"),
        adminform=adminform,
        errors=form.errors,
        missing=_missing(modeladmin, request),
        form_id=new_form_id(request),
        media=modeladmin.media + adminform.media,
    )


def _given(request: HttpRequest) -> dict[str, str]:
    """What a link fills in, such as the service user."""
    known = ("service_user", "name")
    return {name: request.GET[name] for name in known if name in request.GET}


def _missing(modeladmin: WatchingAdmin, request: HttpRequest) -> dict[str, str]:
    """Why nothing can be minted here yet, and what would help; empty if it can."""
    if _owners(request).exists():
        return {}
    if not _sees_owners(request):
        return {"why": _("A key belongs to a service user, and you may not see those.")}
    if ServiceUser.objects.exists():
        return {"why": _("A key belongs to a service user, and you manage none.")}
    why = _("A key belongs to a service user, and there is none yet.")
    if not (modeladmin.admin_site.is_registered(ServiceUser) and may(request, "add_serviceuser")):
        return {"why": why, "help": _("Ask somebody who may add service users.")}
    return {"why": why, "add": modeladmin.url_of(ServiceUser, "add")}


def _owners(request: HttpRequest) -> QuerySet[ServiceUser]:
    """The service users that this member of staff may mint for: those they may see."""
    return manageable(request.user) if _sees_owners(request) else ServiceUser.objects.none()


def _sees_owners(request: HttpRequest) -> bool:
    return may(request, "view_serviceuser") or may(request, "change_serviceuser")
