"""Pages for people in a browser take no API key and no login token, the admin's first of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib import admin
from django.urls import ResolverMatch, URLPattern, URLResolver, path, reverse
from django.urls.resolvers import RegexPattern, RoutePattern

from pikku_auth.core.secrets import generate
from pikku_auth.flows import IssuedKey
from pikku_auth.middleware import PikkuAuthMiddleware
from tests.logins import bearer, browser_of, logged_in
from tests.plain_django import sites
from tests.plain_django.conftest import Ask

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
Headers = dict[str, str]
OURS = "pikku_auth.middleware.PikkuAuthMiddleware"
REFUSED = (403, "browser_session_required")
SITES = ["/admin/", "/machines/", "/acme/office/"]
PAGES = ["/account/", "/aaccount/", "/class/", "/aclass/", "/password/"]


class WithSettingsPage(PikkuAuthMiddleware):
    def is_for_browsers(self, match: ResolverMatch) -> bool:
        return match.route == "settings/" or super().is_for_browsers(match)


def mount(settings: Any, *middleware: str) -> None:
    settings.ROOT_URLCONF = "tests.plain_django.sites"
    settings.MIDDLEWARE = [*configured.MIDDLEWARE, *middleware]


@pytest.fixture
def root(make_user: Any) -> Any:
    """A human who may do everything."""
    return make_user("root", is_staff=True, is_superuser=True)


@pytest.fixture(params=["key", "login"])
def headers(request: pytest.FixtureRequest, mint: Mint, root: Any) -> Headers:
    """The best credential of each kind that there is."""
    if request.param == "login":
        return bearer(logged_in(root))
    return {"x-api-key": mint(scopes=["*"]).secret.reveal()}


def answer(ask: Ask, path: str, headers: Headers, **options: Any) -> tuple[int, str]:
    given = {name.replace("-", "_"): value for name, value in headers.items()}
    response = ask(path, **options, **given)
    is_json = response["Content-Type"] == "application/json"
    return response.status_code, response.json().get("code") if is_json else ""


def paths_below(patterns: Any, before: str = "") -> Iterator[str]:
    for pattern in patterns:
        here = before + _an_example_of(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from paths_below(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern):
            yield here


def _an_example_of(pattern: RoutePattern | RegexPattern) -> str:
    """Something that the pattern matches."""
    if isinstance(pattern, RegexPattern):
        (name,) = pattern.regex.groupindex
        return {"app_label": "auth/", "url": "nothing/of/that/name"}[name]
    route = str(pattern)
    for name, converter in pattern.converters.items():
        kind = type(converter).__name__.removesuffix("Converter").lower()
        value = {"int": "1", "path": "1", "slug": "acme"}.get(kind, "x")
        route = route.replace(f"<{kind}:{name}>", value).replace(f"<{name}>", value)
    return route


ADMIN_PATHS = [
    f"{where}{path}"
    for where, site in zip(SITES, [admin.site, sites.machines, sites.strict], strict=True)
    for path in paths_below(site.urls[0])
]


def test_the_walk_knows_the_admins_special_pages() -> None:
    for name in ("index", "login", "logout", "jsi18n", "password_change", "autocomplete"):
        assert reverse(f"admin:{name}", "example_project.urls") in ADMIN_PATHS
    assert "/admin/pikku_auth/apikey/add/" in ADMIN_PATHS
    assert "/admin/auth/" in ADMIN_PATHS
    assert "/admin/nothing/of/that/name" in ADMIN_PATHS
    assert "/acme/office/pikku_auth/apikey/1/change/" in ADMIN_PATHS


def test_no_page_of_an_admin_is_for_a_credential(ask: Ask, settings: Any, headers: Headers) -> None:
    mount(settings, OURS)
    others = ["/admin/doc/", "/admin/doc/models/", "/admin/report/"]
    answers = {path: answer(ask, path, headers) for path in ADMIN_PATHS + others}
    assert answers == dict.fromkeys(answers, REFUSED)


def test_no_form_of_an_admin_is_taken_without_a_csrf_token(
    ask: Ask, settings: Any, headers: Headers, root: Any
) -> None:
    mount(settings, OURS)
    for page in ["pikku_auth/apikey/add/", f"auth/user/{root.pk}/password/", "password_change/"]:
        assert answer(ask, f"/admin/{page}", headers, method="post") == REFUSED


def test_a_session_beside_a_credential_opens_no_admin(
    ask: Ask, settings: Any, headers: Headers, root: Any
) -> None:
    mount(settings, OURS)
    cookies = browser_of(root).cookies
    assert answer(ask, "/admin/", headers, cookies=cookies) == REFUSED
    assert answer(ask, "/admin/", {}, cookies=cookies)[0] == 200


def test_a_bad_key_is_told_that_it_is_bad(ask: Ask, settings: Any) -> None:
    mount(settings, OURS)
    headers = {"x-api-key": generate("pka").reveal()}
    assert answer(ask, "/admin/", headers) == (401, "invalid_key")


def test_other_pages_are_as_open_as_they_were(ask: Ask, settings: Any, headers: Headers) -> None:
    mount(settings, OURS)
    assert answer(ask, "/settings/", headers)[0] == 200
    assert answer(ask, "/nowhere/", headers)[0] == 404


def test_a_browser_is_shown_why(ask: Ask, settings: Any, headers: Headers) -> None:
    mount(settings, OURS)
    given = {name.replace("-", "_"): value for name, value in headers.items()}
    page = ask("/admin/", accept="text/html", **given).content.decode()
    assert "This page does not accept API keys or login tokens" in page
    assert "is for programs" not in page


def test_a_subclass_names_more_pages(ask: Ask, settings: Any, headers: Headers) -> None:
    mount(settings, f"{__name__}.WithSettingsPage")
    assert answer(ask, "/settings/", headers) == REFUSED
    assert answer(ask, "/admin/", headers) == REFUSED
    assert answer(ask, "/settings/", {})[0] == 200


class TestTheDecorator:
    @pytest.fixture(autouse=True, params=["with middleware", "alone"])
    def _mounted(self, request: pytest.FixtureRequest, settings: Any, ask: Ask) -> None:
        mount(settings, *([OURS] if request.param == "with middleware" else []))

    def test_a_credential_is_refused_even_beside_a_session(
        self, ask: Ask, headers: Headers, root: Any
    ) -> None:
        cookies = browser_of(root).cookies
        for page in PAGES:
            assert answer(ask, page, headers) == REFUSED
            assert answer(ask, page, headers, cookies=cookies) == REFUSED

    def test_a_browser_that_is_signed_in_is_served(self, ask: Ask, root: Any) -> None:
        cookies = browser_of(root).cookies
        for page in PAGES:
            response = ask(page, cookies=cookies)
            assert response.status_code == 200
            assert {"x-api-key", "Authorization"} <= set(response["Vary"].split(", "))

    def test_a_browser_that_is_not_is_sent_to_the_login_page(self, ask: Ask) -> None:
        for page in PAGES:
            assert ask(page)["Location"] == f"/accounts/login/?next={page}"

    def test_a_bearer_of_others_is_no_credential_of_ours(self, ask: Ask, root: Any) -> None:
        cookies = browser_of(root).cookies
        for page in PAGES:
            assert answer(ask, page, {"Authorization": "Bearer x"}, cookies=cookies)[0] == 200


def test_a_callable_without_a_closure_or_a_value_in_it_is_no_admin(
    ask: Ask, settings: Any, headers: Headers
) -> None:
    if settings is None:  # pragma: no cover  # never: so that the closure below stays empty
        unset = None

    def view(request: Any) -> Any:
        return unset if request is None else sites.page(request)

    mount(settings, OURS)
    settings.ROOT_URLCONF = (path("it/", view),)
    assert answer(ask, "/it/", headers)[0] == 200
