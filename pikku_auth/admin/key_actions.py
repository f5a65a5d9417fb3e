"""What staff do to keys: rotate, revoke, disable, enable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from pikku_auth.admin.actions import Action, Following, ReasonForm, each
from pikku_auth.admin.base import context_of, may
from pikku_auth.admin.bounds import BoundsForm
from pikku_auth.admin.children import alive_children, to_go_on, to_stop
from pikku_auth.admin.forms import RotateForm
from pikku_auth.admin.secret_response import page_with
from pikku_auth.exceptions import InvalidInput
from pikku_auth.flows import (
    IssuedKey,
    disable_key,
    enable_key,
    revoke_key,
    rotate_key,
    set_key_bounds,
)
from pikku_auth.flows.ceilings import require_grantable
from pikku_auth.flows.database import primary
from pikku_auth.flows.privileges import require_covers
from pikku_auth.models import APIKey, KeyState

OVER = {KeyState.REVOKED, KeyState.EXPIRED}
_LIVE = {KeyState.ACTIVE, KeyState.EXHAUSTED}


def rotate(
    modeladmin: Any, request: HttpRequest, keys: Sequence[APIKey], given: dict[str, Any]
) -> HttpResponse:
    """Give each a successor, all in one transaction: either the secrets arrive, or nothing was."""
    issued: list[IssuedKey] = []
    problems: list[str] = []
    with transaction.atomic(using=primary()):
        for key in keys:
            try:
                require_covers(request.user, key.service_user)
                require_grantable(request.user, key.service_user, key.allowed)
                issued.append(rotate_key(key, **given, context=context_of(request)))
            except InvalidInput as error:
                problems.append(str(error))
            else:
                modeladmin.log_change(request, key, gettext("Rotated."))
        if not issued:
            raise InvalidInput("key", " ".join(problems))
        return page_with(modeladmin, request, gettext("The new secrets"), issued, problems)


def change_bounds(
    modeladmin: Any, request: HttpRequest, keys: Sequence[APIKey], given: dict[str, Any]
) -> int:
    """Change all of them, or none. Who may not mint a key may only narrow its bounds."""
    bounds: Any = {**given, "context": context_of(request)}
    with transaction.atomic(using=primary()):
        changed = [
            key
            for key in keys
            if set_key_bounds(key, narrow_only=not _may_mint(request, key), **bounds)
        ]
        modeladmin.log_changes(request, changed, gettext("Changed the bounds."))
    return len(changed)


def _may_mint(request: HttpRequest, key: APIKey) -> bool:
    """Whether this member of staff could make such a key, and so have its secret."""
    try:
        require_covers(request.user, key.service_user)
        require_grantable(request.user, key.service_user, key.allowed)
    except InvalidInput:
        return False
    return may(request, "mint_apikey")


def _owner(key: APIKey) -> str:
    return key.service_user.name


_OWNERS = ngettext_lazy("%(n)d service user", "%(n)d service users", "n")

ACTIONS = [
    Action(
        name="rotate",
        label=_("Rotate"),
        question=ngettext_lazy(
            "Rotate %(n)d API key of %(of)s?", "Rotate %(n)d API keys of %(of)s?", "n"
        ),
        owner=_owner,
        owners=_OWNERS,
        done=ngettext_lazy("Rotated %(n)d key.", "Rotated %(n)d keys.", "n"),
        meaning=_("Each gets a successor with a new secret and everything else as it was."),
        permission="mint_apikey",
        run=rotate,
        form=RotateForm,
        following=Following(
            alive_children,
            ngettext_lazy(
                "%(n)s key that these have minted goes on with the successor. It is revoked with "
                "an old key that is revoked at once, unless you keep it:",
                "%(n)s keys that these have minted go on with the successors. They are revoked "
                "with old keys that are revoked at once, unless you keep them:",
                "n",
            ),
        ),
        is_for=lambda key: key.state(timezone.now()) in _LIVE and key.rotated_at is None,
    ),
    Action(
        name="bounds",
        label=_("Change bounds"),
        question=ngettext_lazy(
            "Change the bounds of %(n)d API key of %(of)s?",
            "Change the bounds of %(n)d API keys of %(of)s?",
            "n",
        ),
        owner=_owner,
        owners=_OWNERS,
        done=ngettext_lazy(
            "Changed the bounds of %(n)d key.", "Changed the bounds of %(n)d keys.", "n"
        ),
        meaning=_(
            "From where and how often a key may be used, from the next request on. The keys that "
            "it has minted are held within that. What it may do, only a new key can change."
        ),
        permission="change_apikey",
        run=change_bounds,
        form=BoundsForm,
        is_for=lambda key: key.state(timezone.now()) not in OVER,
    ),
    Action(
        name="revoke",
        label=_("Revoke"),
        question=ngettext_lazy(
            "Revoke %(n)d API key of %(of)s?", "Revoke %(n)d API keys of %(of)s?", "n"
        ),
        owner=_owner,
        owners=_OWNERS,
        done=ngettext_lazy("Revoked %(n)d key.", "Revoked %(n)d keys.", "n"),
        meaning=_("Refused from the next request on, for good. This can't be undone."),
        permission="revoke_apikey",
        run=each(revoke_key, _("Revoked.")),
        form=ReasonForm,
        following=Following(
            alive_children,
            ngettext_lazy(
                "%(n)s key that these have minted is revoked as well:",
                "%(n)s keys that these have minted are revoked as well:",
                "n",
            ),
        ),
        is_for=lambda key: key.revoked_at is None,
        is_dangerous=True,
    ),
    Action(
        name="disable",
        label=_("Disable"),
        question=ngettext_lazy(
            "Disable %(n)d API key of %(of)s?", "Disable %(n)d API keys of %(of)s?", "n"
        ),
        owner=_owner,
        owners=_OWNERS,
        done=ngettext_lazy("Disabled %(n)d key.", "Disabled %(n)d keys.", "n"),
        meaning=_("Refused from the next request on, until somebody enables it again."),
        permission="revoke_apikey",
        run=each(disable_key, _("Disabled.")),
        following=Following(
            to_stop,
            ngettext_lazy(
                "%(n)s key that these have minted stops as well, until they are enabled:",
                "%(n)s keys that these have minted stop as well, until they are enabled:",
                "n",
            ),
        ),
        is_for=lambda key: key.enabled and key.revoked_at is None,
    ),
    Action(
        name="enable",
        label=_("Enable"),
        question=ngettext_lazy(
            "Enable %(n)d API key of %(of)s?", "Enable %(n)d API keys of %(of)s?", "n"
        ),
        owner=_owner,
        owners=_OWNERS,
        done=ngettext_lazy("Enabled %(n)d key.", "Enabled %(n)d keys.", "n"),
        meaning=_("Let in again, unless revoked or expired."),
        permission="mint_apikey",
        run=each(enable_key, _("Enabled.")),
        following=Following(
            to_go_on,
            ngettext_lazy(
                "%(n)s key that these have minted goes on as well:",
                "%(n)s keys that these have minted go on as well:",
                "n",
            ),
        ),
        is_for=lambda key: not key.enabled and key.revoked_at is None,
    ),
]
