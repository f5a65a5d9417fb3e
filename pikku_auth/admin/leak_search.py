"""Finding the row of a secret that somebody has seen in a log."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from pikku_auth.admin.base import WatchingAdmin, may_see
from pikku_auth.core.secrets import found_in
from pikku_auth.flows.leak_lookup import digests_of, find_leaked
from pikku_auth.views.http import forget_body


def _digested(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """``view`` with the digests in place of the secret, which no error report can show then."""

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        post = request.POST.copy()
        post.setlist("digest", digests_of("".join(post.pop("secret", [])[-1:])))
        forget_body(request, post)
        return view(request)

    return wrapped


class FindingAdmin(WatchingAdmin):
    """A box to paste a secret into. It comes by POST, is digested, and is never shown again."""

    def get_urls(self) -> list[URLPattern]:
        # Outermost: asking who it is may fail already, and the report would have the secret.
        find = sensitive_post_parameters("secret")(
            _digested(self.admin_site.admin_view(self.find_view))
        )
        name = f"{self.opts.app_label}_{self.opts.model_name}_find"
        return [path("find/", find, name=name), *super().get_urls()]

    def find_view(self, request: HttpRequest) -> HttpResponse:
        """Lead to the key or the login that has the secret; ``secret`` may be its SHA-256, too."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = find_leaked(request.POST.getlist("digest"))
        if found is None or not self._shows(found, request):
            told = _("No key and no login here has that secret. Was it copied in full?")
            self.message_user(request, told, messages.WARNING)
            return HttpResponseRedirect(self.url_of(self.model, "changelist"))
        self.message_user(request, _("This is what the secret belongs to."), messages.SUCCESS)
        return HttpResponseRedirect(self.url_of(type(found), "change", found.pk))

    def _shows(self, found: Model, request: HttpRequest) -> bool:
        """Whether this member of staff may see the page of what was found."""
        if not may_see(self.admin_site, type(found), request):
            return False
        rows = self.admin_site.get_model_admin(type(found)).get_queryset(request)
        return rows.filter(pk=found.pk).exists()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """No results, and a warning, for a secret: it is in the URL now."""
        if not found_in(search_term):
            return super().get_search_results(request, queryset, search_term)
        warning = _(
            "That looks like a secret, and it is now in this page's address: in your browser's "
            "history, and perhaps in a log. Rotate that key. To find a key by its secret, use "
            "the box below."
        )
        self.message_user(request, warning, messages.WARNING)
        return queryset.none(), False
