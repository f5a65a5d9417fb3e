"""``pikku-auth keys``: what ``manage.py`` does with keys, over HTTP."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from pikku_auth.client.delivery import Delivery, Undelivered
from pikku_auth.client.environment import API_KEY_VARIABLE, key_from_environment
from pikku_auth.client.exceptions import (
    BadValue,
    ClientError,
    KeyNotFound,
    KeyRefused,
    ReaderGone,
    WrongUsage,
)
from pikku_auth.client.key_records import IssuedKey, Key, key_as_json
from pikku_auth.client.keys import UNKNOWN, Keys
from pikku_auth.client.tables import ago, ahead, in_words, table
from pikku_auth.client.terminal import Terminal
from pikku_auth.core.delegation import EVERY, Delegation
from pikku_auth.core.durations import format_duration
from pikku_auth.core.errors import BrokenRule

_COLUMNS = ["ID", "PREVIEW", "NAME", "SERVICE USER", "STATE", "LAST USED", "EXPIRES", "SCOPES"]
_MOST_SHOWN = 20
_NOTHING = "Nothing was revoked."


def manage_keys(options: argparse.Namespace, keys: Keys, terminal: Terminal) -> None:
    """Run ``keys mint``, ``list``, ``show``, ``rotate`` or ``revoke``.

    :raises ClientError: when it did not work.
    """
    acts = {"mint": _mint, "list": _list, "show": _show, "rotate": _rotate, "revoke": _revoke}
    acts[options.act](options, keys, terminal)


def _mint(options: argparse.Namespace, keys: Keys, terminal: Terminal) -> None:
    with Delivery(options.output, terminal) as delivery:
        with _interruption_told(terminal):
            issued = keys.mint(
                options.service,
                name=options.name,
                scopes=options.scope,
                lifetime=getattr(options, "expires_in", "default"),
                metadata=options.metadata,
                networks=options.network,
                rate=options.rate,
                quota=options.quota,
                refill=options.refill,
                delegation=_delegation(options),
            )
        try:
            delivery.hand_over(_rendered(issued, options.format))
        except OSError as error:
            raise Undelivered(
                f"The key could not be handed over ({error.strerror}). "
                f"{_take_back(issued.key, keys)}"
            ) from None
        except BaseException:  # Ctrl-C, at a pipe that nobody empties
            _take_back(issued.key, keys)
            raise
    _tell_issued(issued.key, options, terminal)


@contextmanager
def _interruption_told(terminal: Terminal) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        terminal.say("")
        terminal.say(UNKNOWN)
        raise


def _delegation(options: argparse.Namespace) -> Delegation | None:
    if not (options.for_service or options.child_metadata or options.max_children):
        return None
    try:
        return Delegation(
            service_users=options.for_service,
            metadata=options.child_metadata,
            most=options.max_children or Delegation().most,
        )
    except BrokenRule as error:
        raise BadValue(str(error)) from None


def _take_back(key: Key, keys: Keys) -> str:
    """Revoke what could not be handed over, and say how that went."""
    try:
        keys.revoke(key, reason="could not be handed over")
    except ClientError as error:
        return (
            f"It could not be revoked again: {error} Have it revoked: pikku-auth keys revoke "
            f"{key.id} --url {keys.url}"
        )
    return "It was revoked again."


def _rotate(options: argparse.Namespace, keys: Keys, terminal: Terminal) -> None:
    if options.key is None and key_from_environment() is None:
        raise WrongUsage(f"Which key? Only a key in {API_KEY_VARIABLE} may leave the id out.")
    if options.keep_children and not options.revoke_now:
        raise WrongUsage("--keep-children goes with --revoke-now: they stay in any case.")
    if options.revoke_now and options.may_ask and not options.keep_children:
        _confirm_the_end_of_children(options.key, keys, terminal)
    overlap = None if options.revoke_now else options.overlap
    with Delivery(options.output, terminal) as delivery:
        with _interruption_told(terminal):
            issued = keys.rotate(options.key, overlap=overlap, keep_children=options.keep_children)
        try:
            delivery.hand_over(_rendered(issued, options.format))
        except OSError as error:
            raise Undelivered(
                f"Key {issued.key.id}, the successor, could not be handed over ({error.strerror})."
                " Give it another secret: pikku-auth keys rotate "
                f"{issued.key.id} --revoke-now --keep-children --url {keys.url}"
            ) from None
    _tell_issued(issued.key, options, terminal)
    ending = "is revoked" if overlap is None else f"ends within {format_duration(overlap)}"
    terminal.say(f"The old key{f' {options.key}' if options.key else ''} {ending}.")


def _confirm_the_end_of_children(key_id: str | None, keys: Keys, terminal: Terminal) -> None:
    """Ask, if keys end with the one that is revoked at once, or if that can't be known."""
    seen = None if key_id is None else _seen([key_id], keys)
    if seen is None:
        question = "Revoke the old key at once, and every key that it has minted?"
        terminal.confirm(question, otherwise=_NOTHING)
    elif seen.children:
        terminal.say(f"Key {key_id} has minted {_counted(len(seen.children))}:")
        _say_each(seen.children, terminal)
        terminal.confirm("Revoke them with it?", otherwise=_NOTHING)


class _Seen(NamedTuple):
    """Keys that are to end, and those that end with them because they have minted them."""

    keys: list[Key]
    children: list[Key]


def _seen(wanted: list[str], keys: Keys) -> _Seen | None:
    """What ends with the keys of those ids; ``None`` where the credential may not look.

    Who may revoke keys need not be allowed to read them, or not those of each service user.

    :raises KeyNotFound: when there is no such key.
    """
    try:
        found = [keys.get(key_id) for key_id in wanted]
        children = [child for key in found for child in _children_of(key, keys)]
    except KeyNotFound:
        raise
    except KeyRefused:
        return None
    return _Seen(found, [child for child in children if child.id not in wanted])


def _children_of(key: Key, keys: Keys) -> Iterator[Key]:
    """The keys that it has minted and that are not revoked, of each service user it acts for."""
    others = key.delegation.service_users if key.delegation else ()
    for name in dict.fromkeys([key.service_user, *others]):
        if name != EVERY:  # who acts for all mints for none
            yield from keys.list(name, parent=key)


def _revoke(options: argparse.Namespace, keys: Keys, terminal: Terminal) -> None:
    wanted = list(dict.fromkeys(options.keys))
    if options.may_ask:
        _confirm_the_end(wanted, keys, terminal)
    for key_id in wanted:
        keys.revoke(key_id, reason=options.reason)
        terminal.say(f"Revoked key {key_id}.")


def _confirm_the_end(wanted: list[str], keys: Keys, terminal: Terminal) -> None:
    seen = _seen(wanted, keys)
    question = _question_unseen(wanted) if seen is None else _question(seen, terminal)
    terminal.confirm(question, otherwise=_NOTHING)


def _question_unseen(wanted: list[str]) -> str:
    if len(wanted) == 1:
        return f"Revoke key {wanted[0]}, and every key that it has minted?"
    return f"Revoke the keys {', '.join(wanted)}, and every key that they have minted?"


def _question(seen: _Seen, terminal: Terminal) -> str:
    found, children = seen
    if len(found) == 1 and not children:
        return f"Revoke {_described(found[0])}?"
    _say_each(found, terminal)
    if children:
        terminal.say(f"and {_counted(len(children))} that they have minted:")
        _say_each(children, terminal)
    return f"Revoke {_counted(len(found) + len(children))}?"


def _say_each(keys: list[Key], terminal: Terminal) -> None:
    for key in keys[:_MOST_SHOWN]:
        terminal.say(f"  {_described(key)}")
    if len(keys) > _MOST_SHOWN:
        terminal.say(f"  and {len(keys) - _MOST_SHOWN} more")


def _list(options: argparse.Namespace, keys: Keys, terminal: Terminal) -> None:
    now = datetime.now(UTC)
    found = islice(_chosen(options, keys, now), options.limit)
    first = next(found, None)
    if first is None:
        terminal.say("There are no such keys.")
        return
    rows = (key for part in ([first], found) for key in part)
    try:
        if options.json:
            for key in rows:
                terminal.answer_json(key_as_json(key))
        else:
            for line in table(_COLUMNS, (_row(key, now) for key in rows), terminal.width):
                terminal.answer(line)
    except BrokenPipeError:
        raise ReaderGone from None


def _chosen(options: argparse.Namespace, keys: Keys, now: datetime) -> Iterator[Key]:
    shows_revoked = options.revoked or options.state == "revoked"
    wanted = options.state or ("active" if options.expiring or options.unused else None)
    for key in keys.list(options.service, parent=options.parent, include_revoked=shows_revoked):
        last = key.last_used_at or key.created_at
        if wanted is not None and key.state != wanted:
            continue
        if options.expiring and (key.expires_at is None or key.expires_at > now + options.expiring):
            continue
        if options.unused and last is not None and last > now - options.unused:
            continue
        yield key


def _show(options: argparse.Namespace, keys: Keys, terminal: Terminal) -> None:
    key = keys.get(options.key)
    if options.json:
        terminal.answer_json(key_as_json(key))
        return
    for name, value in key_as_json(key).items():
        if value not in (None, "", (), {}) and name != "permissions":  # which scopes are, too
            terminal.answer(f"{name}: {_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def _row(key: Key, now: datetime) -> list[str]:
    return [
        key.id,
        key.start,
        key.name,
        key.service_user,
        key.state.replace("_", " "),
        ago(key.last_used_at, now),
        ahead(key.expires_at, now),
        _scopes(key),
    ]


def _scopes(key: Key) -> str:
    """What the key may do now, and what it was minted with if that is more."""
    now, minted = " ".join(key.scopes), " ".join(key.minted_scopes)
    return now if now == minted else f"{now or 'none'} (minted with {minted})"


def _rendered(issued: IssuedKey, style: str) -> str:
    secret = issued.secret.reveal()
    if style == "json":
        return json.dumps({"key": secret, **key_as_json(issued.key)})
    return f"{API_KEY_VARIABLE}={secret}" if style == "env" else secret


def _tell_issued(key: Key, options: argparse.Namespace, terminal: Terminal) -> None:
    scopes = ", ".join(key.minted_scopes) or "no scopes: it may authenticate, and nothing else"
    ends = f"expires {in_words(key.expires_at)}" if key.expires_at else "never expires"
    terminal.say(f"Key {key.id}, {key} of {key.service_user}: {scopes}; {ends}.")
    if key.scopes != key.minted_scopes:
        cut = ", ".join(key.scopes) or "nothing"
        terminal.say(f"Of these, it may do now: {cut}.")
    where = f"It is in {options.output}" if options.output else "Copy it now"
    terminal.say(f"{where}: it is stored only as a digest and cannot be shown again.")


def _described(key: Key) -> str:
    used = f"last used {in_words(key.last_used_at)}" if key.last_used_at else "never used"
    return f"{key} of {key.service_user}, {used}"


def _counted(number: int) -> str:
    return "1 key" if number == 1 else f"{number} keys"
