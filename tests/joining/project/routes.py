"""What each route and method answers to callers of every kind, as JSON."""

from __future__ import annotations

import json
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

import django

django.setup()

from django.test import Client
from django.test.utils import setup_test_environment
from django.urls import get_resolver
from drf_spectacular.generators import EndpointEnumerator
from rest_framework.authtoken.models import Token
from users.models import User

setup_test_environment()
assert get_resolver().url_patterns

ada, _ = User.objects.get_or_create(email="ada@example.com")
token, _ = Token.objects.get_or_create(user=ada)
signed_in = Client(raise_request_exception=False)
signed_in.force_login(ada)
callers = {
    "nobody": Client(raise_request_exception=False),
    "a session": signed_in,
    "a token": Client(headers={"Authorization": f"Token {token.key}"}),
    "a bad token": Client(headers={"Authorization": "Token " + "0" * 40}),
    "a bearer of others": Client(headers={"Authorization": "Bearer " + "0" * 40}),
    "a key of others": Client(headers={"Authorization": "Api-Key " + "0" * 40}),
}
routes = [
    (path.replace("{id}", str(ada.pk)), method)
    for path, _, method, _ in EndpointEnumerator().get_api_endpoints()
]
routes += [
    ("/profile/", "GET"),
    ("/admin/", "GET"),
    ("/accounts/email/", "GET"),
    ("/nowhere/", "GET"),
]
told = {
    f"{method} {path}": {
        name: client.generic(method, path, "{}", "application/json").status_code
        for name, client in callers.items()
    }
    for path, method in routes
}
print(json.dumps(told))
