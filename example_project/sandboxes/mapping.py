"""What a sandbox's key means right now: ``PIKKU_AUTH["MAP_KEY"]``."""

from __future__ import annotations

from django.http import HttpRequest

from example_project.sandboxes.models import Sandbox, Status
from pikku_auth.models import APIKey
from pikku_auth.principal import Mapped


def sandbox_of(key: APIKey, request: HttpRequest) -> Mapped | None:
    """Bind a sandbox's key to the organisation that its sandbox is in now.

    Such a key is minted with ``--metadata '{"sandbox": 1}'``, the sandbox's id. If that
    sandbox is stopped or gone the key is refused, and so is one whose ``sandbox`` is no id. A
    key without one is an operator's, and keeps what it was minted with.

    Only who may mint writes metadata, so it can be trusted to say whose key this is. Costs
    one SELECT for a sandbox's key, and none for others.
    """
    if "sandbox" not in key.metadata:
        return Mapped()
    pk = key.metadata["sandbox"]
    if type(pk) is not int:  # isinstance would take true for the sandbox 1
        return None
    running = Sandbox.objects.filter(pk=pk, status=Status.RUNNING)
    organisation = running.values_list("organisation", flat=True).first()
    if organisation is None:
        return None
    return Mapped(claims={"organisation": organisation, "sandbox": pk})
