"""Admin sites of every kind that a host may mount, and pages for people."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path
from django.views import View

from pikku_auth.admin import APIKeyAdmin
from pikku_auth.decorators import browser_session_required
from pikku_auth.models import APIKey
from tests.admin.own_site import machines


class StrictSite(AdminSite):
    """As a project with a second factor has it."""

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return super().admin_view(view, cacheable)


strict = StrictSite(name="strict")
strict.register(APIKey, APIKeyAdmin)


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("of the host")


@browser_session_required
def account(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


@browser_session_required
async def aaccount(request: Any) -> HttpResponse:
    user = await request.auser()
    return HttpResponse(user.get_username())


@browser_session_required
class Account(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.user.get_username())


@browser_session_required
class AsyncAccount(View):
    async def get(self, request: Any) -> HttpResponse:
        user = await request.auser()
        return HttpResponse(user.get_username())


office = ([path("", strict.urls)], "office")

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/doc/", include("django.contrib.admindocs.urls")),
    path("admin/report/", admin.site.admin_view(page)),
    path("admin/", admin.site.urls),
    path("machines/", machines.urls),
    path(
        "<slug:tenant>/", include([path("office/", include(([path("", strict.urls)], "office")))])
    ),
    path("account/", account),
    path("aaccount/", aaccount),
    path("class/", Account.as_view()),
    path("aclass/", AsyncAccount.as_view()),
    path("password/", browser_session_required(PasswordChangeView.as_view(success_url="/"))),
    path("settings/", page),
    path("accounts/login/", LoginView.as_view(), name="login"),
]
