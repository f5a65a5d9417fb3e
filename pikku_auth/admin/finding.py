"""Finding the row of a secret that somebody has seen in a log."""

from __future__ import annotations

import re

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from pikku_auth.admin.acts import ActingAdmin
from pikku_auth.admin.base import may_see
from pikku_auth.flows.leaks import digests_of, find_leaked

_SECRET = re.compile(r"[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{49}")


def looks_like_a_secret(text: str) -> bool:
    """Whether ``text`` has the form of a key or a token of ours, of any prefix."""
    return _SECRET.fullmatch(text.strip()) is not None


class FindingAdmin(ActingAdmin):
    """A box to paste a secret into. It comes by POST, is digested, and is never shown again."""

    def get_urls(self) -> list[URLPattern]:
        # Outermost: asking who it is may fail already, and the report would have the secret.
        find = sensitive_post_parameters("secret")(self.admin_site.admin_view(self.find_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_find"
        return [path("find/", find, name=name), *super().get_urls()]

    def find_view(self, request: HttpRequest) -> HttpResponse:
        """Lead to the key or the login that has the secret; ``secret`` may be its SHA-256, too."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = find_leaked(digests_of(request.POST.get("secret", "")))
        if found is None or not may_see(self.admin_site, type(found), request):
            told = _("No key and no login here has that secret. Was it copied in full?")
            self.message_user(request, told, messages.WARNING)
            return HttpResponseRedirect(self.url_of(self.model, "changelist"))
        self.message_user(request, _("This is what the secret belongs to."), messages.SUCCESS)
        return HttpResponseRedirect(self.url_of(type(found), "change", found.pk))
