"""What a caller sees: a sandbox's key its organisation's, everybody else everything."""

from __future__ import annotations

from django.db.models import QuerySet

from example_project.sandboxes.models import DEFAULT_ORGANISATION, Organisation, Sandbox
from pikku_auth.principal import Principal


def organisation_of(caller: object) -> int | None:
    """The id of the organisation that ``caller`` is bound to, or ``None``.

    ``caller`` is ``request.auth`` or ``request.principal``; ``None`` for a browser's session.
    """
    return caller.claims.get("organisation") if isinstance(caller, Principal) else None


def organisations_of(caller: object) -> QuerySet[Organisation]:
    """The organisations that ``caller`` may know of."""
    bound = organisation_of(caller)
    every = Organisation.objects.all()
    return every if bound is None else every.filter(pk=bound)


def sandboxes_of(caller: object) -> QuerySet[Sandbox]:
    """The sandboxes that ``caller`` may know of."""
    bound = organisation_of(caller)
    every = Sandbox.objects.all()
    return every if bound is None else every.filter(organisation=bound)


def home_of(caller: object) -> Organisation:
    """Where a sandbox goes that ``caller`` makes without saying where."""
    bound = organisation_of(caller)
    if bound is None:
        return Organisation.objects.get_or_create(name=DEFAULT_ORGANISATION)[0]
    return Organisation.objects.get(pk=bound)
