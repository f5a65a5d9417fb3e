"""django-ninja, by documented names only."""

from __future__ import annotations

from typing import assert_type

from django.contrib.auth.models import User

from pikku_auth.contrib.ninja import PikkuNinjaAPI, PikkuNinjaAuth, PrincipalRequest
from pikku_auth.principal import Principal

api = PikkuNinjaAPI(auth=PikkuNinjaAuth())


@api.get("/whoami")
def whoami(request: PrincipalRequest) -> dict[str, str]:
    assert_type(request.auth, Principal)
    assert_type(request.user, User)
    return {"user": request.user.get_username(), "via": request.auth.via}


@api.post("/sandboxes", auth=PikkuNinjaAuth(scopes=["sandbox:write"]))
async def make_sandbox(request: PrincipalRequest) -> dict[str, list[str]]:
    return {"scopes": request.principal.scopes}
