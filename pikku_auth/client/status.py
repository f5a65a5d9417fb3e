"""``pikku-auth status``: every stored login, as its server describes it now."""

from __future__ import annotations

import threading

from pikku_auth.client.commands import Connect, ask_who
from pikku_auth.client.environment import credential_variable
from pikku_auth.client.exceptions import ClientError, NotLoggedIn
from pikku_auth.client.models import Login, name_of
from pikku_auth.client.session_info import Who, until
from pikku_auth.client.store import Store
from pikku_auth.client.terminal import Terminal

Told = Who | ClientError
"""What a server says of a login, or why it says nothing."""


def show_status(*, as_json: bool, store: Store, terminal: Terminal, connect: Connect) -> None:
    """Ask each server about its login, all at the same time, and tell what they say.

    A server that can't be asked, or that refuses its login, is told of like the others.

    :raises NotLoggedIn: when no login is stored.
    """
    logins, current = store.logins(), store.current()
    if (name := credential_variable()) is not None:
        terminal.say(f"{name} is set, and wins over what is stored.")
    if not logins:
        raise NotLoggedIn("No login is stored. Run: pikku-auth login --url URL")
    for login, told in zip(logins, _ask_each(logins, store, connect), strict=True):
        is_current = current is not None and login.base_url == current.base_url
        if as_json:
            terminal.answer_json(_as_json(login, told, is_current))
        else:
            terminal.answer(f"{login.base_url}{' (current)' if is_current else ''}")
            terminal.answer(f"  {_described(login, told)}")


def _ask_each(logins: list[Login], store: Store, connect: Connect) -> list[Told]:
    """What each server says. Threads, because one that is away would hold up the others."""
    found: dict[str, Told] = {}

    def ask(login: Login) -> None:
        try:
            found[login.base_url] = ask_who(login, store, connect)
        except ClientError as error:
            found[login.base_url] = error

    threads = [threading.Thread(target=ask, args=(login,), daemon=True) for login in logins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[login.base_url] for login in logins]


def _described(login: Login, told: Told) -> str:
    """Such as ``ada@example.com, scopes sandbox:read (expires 2026-12-23 09:00 UTC)``."""
    stored = name_of(login.user) or "(unknown user)"
    if isinstance(told, ClientError):
        return f"{stored}: {told}"
    scopes = ""
    if told.scopes is not None:
        scopes = f", scopes {' '.join(told.scopes)}" if told.scopes else ", no scopes"
    return f"{told.name or stored}{scopes}{until(told.expires_at or login.expires_at)}"


def _as_json(login: Login, told: Told, is_current: bool) -> dict[str, object]:
    who, error = (None, told) if isinstance(told, ClientError) else (told, None)
    return {
        "url": login.base_url,
        "current": is_current,
        "state": _state(error),
        "user": (who and who.user) or login.user,
        "scopes": who and who.scopes,
        "expires_at": (who and who.expires_at) or login.expires_at,
        "detail": error and str(error),
    }


def _state(error: ClientError | None) -> str:
    """``live``; ``refused``, when its server doesn't know it; else ``unknown``."""
    if error is None:
        return "live"
    return "refused" if isinstance(error, NotLoggedIn) else "unknown"
