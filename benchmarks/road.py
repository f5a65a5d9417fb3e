"""The road through the code: the files and functions that one call passes.

``python -m benchmarks.road`` prints a table, ``python -m benchmarks.road --functions`` each
function in the order of its first call. Only the package's own code counts.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application
from django.test import Client, RequestFactory
from django.test.utils import setup_test_environment
from django.urls import reverse

import pikku_auth
from benchmarks.harness import print_table, throwaway_database
from pikku_auth.client import cli
from pikku_auth.flows import IssuedKey, create_service_user, mint_key
from pikku_auth.flows.device_flow import approve, claim
from pikku_auth.models import APIKey, DeviceCode
from pikku_auth.rest_framework import HasScope, PikkuAuthentication
from pikku_auth.testing import key_headers

PACKAGE = str(Path(pikku_auth.__file__).parent) + os.sep
PATIENCE = 30


@dataclass
class Road:
    """What one call passes: each function once, and how often it goes from file to file."""

    functions: dict[CodeType, None] = field(default_factory=dict)
    borders: int = 0

    @property
    def files(self) -> set[str]:
        return {code.co_filename for code in self.functions}

    def columns(self) -> list[str]:
        return [str(len(self.files)), str(len(self.functions)), str(self.borders)]


def main() -> None:
    """Print the roads."""
    setup_test_environment()
    with throwaway_database():
        roads = {
            "a good key, by REST framework": road_of(request_with_key(a_key())),
            "a bad key": road_of(request_with("pka_" + "0" * 49)),
            "minting, by the admin": road_of(minting()),
            "pikku-auth login": road_of_a_login(),
        }
    print_table(
        "road", ["files", "functions", "borders"], [[n, *r.columns()] for n, r in roads.items()]
    )
    if "--functions" in sys.argv:
        for name, road in roads.items():
            print(f"\n{name}")
            for code in road.functions:
                print(f"  {code.co_filename.removeprefix(PACKAGE)}:{code.co_qualname}")


def road_of(call: Callable[[], object]) -> Road:
    """The road of the second call: the first one fills caches."""
    call()
    with recorded() as road:
        call()
    return road


@contextmanager
def recorded() -> Iterator[Road]:
    """Record the calls of this thread."""
    road = Road()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if (
            event != "call"
            or not code.co_filename.startswith(PACKAGE)
            or code.co_name == "<module>"
        ):
            return
        road.functions[code] = None
        caller = frame.f_back
        if caller and caller.f_code.co_filename.startswith(PACKAGE):
            road.borders += caller.f_code.co_filename != code.co_filename

    sys.setprofile(note)
    try:
        yield road
    finally:
        sys.setprofile(None)


def a_key() -> IssuedKey:
    return mint_key(create_service_user("road"), scopes=["sandbox:read"])


def request_with_key(issued: IssuedKey) -> Callable[[], object]:
    return request_with(next(iter(key_headers(issued).values())))


def request_with(secret: str) -> Callable[[], object]:
    """Authenticate a request as a view of REST framework does."""
    from rest_framework.exceptions import APIException
    from rest_framework.views import APIView

    view = APIView(permission_classes=[HasScope("sandbox:read")])

    def call() -> None:
        request = view.initialize_request(RequestFactory().get("/", headers={"x-api-key": secret}))
        try:
            PikkuAuthentication().authenticate(request)
        except APIException:
            return

    return call


def minting() -> Callable[[], object]:
    """Fetch the form, and send it."""
    user_model: Any = get_user_model()
    root = user_model.objects.create_superuser("root", "root@example.com", "unused")
    owner = create_service_user("minted")
    browser = Client(raise_request_exception=True)
    browser.force_login(root, "django.contrib.auth.backends.ModelBackend")
    page = reverse("admin:pikku_auth_apikey_add")

    def call() -> None:
        context: Any = browser.get(page).context
        form = context["adminform"].form
        fields = {name: form[name].value() for name in form.fields}
        fields = {name: value for name, value in fields.items() if value is not None}
        minted = APIKey.objects.count()
        fields |= {
            "service_user": owner.pk,
            "name": f"key {minted}",
            "scopes": "sandbox:read",
            "expires_in": "30d",
        }
        fields["form_id"] = context["form_id"]
        answer = browser.post(page, fields)
        if APIKey.objects.count() != minted + 1:
            raise RuntimeError(answer.content.decode())

    return call


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


def road_of_a_login() -> Road:
    """Log in with the command, while another thread serves and approves."""
    user_model: Any = get_user_model()
    ada = user_model.objects.create_superuser("ada", "ada@example.com", "unused")
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=approve_the_next, args=[ada], daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    said = StringIO()
    with tempfile.TemporaryDirectory() as home, redirect_stdout(said), redirect_stderr(said):
        os.environ["HOME"] = home
        os.environ.pop("CI", None)  # where nobody could approve it
        with recorded() as road:
            code = cli.main(["login", "--no-browser", "--url", url])
    server.shutdown()
    if code:
        raise RuntimeError(said.getvalue())
    return road


def approve_the_next(user: Any) -> None:
    for _ in range(PATIENCE * 10):
        if code := DeviceCode.objects.filter(status="pending").first():
            claim(code, user)
            approve(DeviceCode.objects.get(pk=code.pk), user)
            return
        time.sleep(0.1)


if __name__ == "__main__":
    main()
