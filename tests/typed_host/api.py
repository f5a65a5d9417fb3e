"""django-ninja, by documented names only."""

from __future__ import annotations

from typing import assert_type

from django.contrib.auth.models import User

from pikku_auth.contrib.ninja import PikkuAuth, PikkuNinjaAPI, PrincipalRequest
from pikku_auth.principal import Principal

api = PikkuNinjaAPI(auth=PikkuAuth())


@api.get("/whoami")
def whoami(request: PrincipalRequest) -> dict[str, str]:
    assert_type(request.auth, Principal)
    assert_type(request.user, User)
    return {"user": request.user.get_username(), "via": request.auth.via}


@api.post("/sandboxes", auth=PikkuAuth(scopes=["sandbox:write"]))
async def make_sandbox(request: PrincipalRequest) -> dict[str, list[str]]:
    return {"scopes": request.principal.scopes}
