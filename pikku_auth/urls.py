"""``path("auth/", include("pikku_auth.urls"))``: device login, sessions and keys."""

from __future__ import annotations

from django.urls import path

from pikku_auth.views import (
    api_keys,
    better_auth,
    device,
    logins,
    oauth,
    page,
    tickets,
    whoami,
)

app_name = "pikku_auth"

urlpatterns = [
    path("activate", page.activate, name="activate"),
    path("logins", logins.logins, name="logins"),
    path("device/code", device.device_code, name="device_code"),
    path("device/token", device.device_token, name="device_token"),
    path("device", device.device, name="device"),
    path("device/approve", device.device_approve, name="device_approve"),
    path("device/deny", device.device_deny, name="device_deny"),
    path("get-session", better_auth.get_session, name="get_session"),
    path("sign-out", better_auth.sign_out, name="sign_out"),
    path("list-sessions", better_auth.list_sessions, name="list_sessions"),
    path("revoke-session", better_auth.revoke_session, name="revoke_session"),
    path("revoke-sessions", better_auth.revoke_sessions, name="revoke_sessions"),
    path("revoke-other-sessions", better_auth.revoke_other_sessions, name="revoke_other_sessions"),
    path("api-key/create", api_keys.create, name="create_key"),
    path("api-key/get", api_keys.get, name="get_key"),
    path("api-key/list", api_keys.list_, name="list_keys"),
    path("api-key/update", api_keys.update, name="update_key"),
    path("api-key/delete", api_keys.delete, name="delete_key"),
    path("api-key/rotate", api_keys.rotate, name="rotate_key"),
    path("ok", better_auth.ok, name="ok"),
    path("whoami", whoami.whoami, name="whoami"),
    path("introspect", oauth.introspection, name="introspect"),
    path("revoke", oauth.revocation, name="revoke"),
    path("ws-ticket", tickets.ws_ticket, name="ws_ticket"),
]
