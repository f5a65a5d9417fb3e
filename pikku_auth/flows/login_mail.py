"""A mail to the human whose terminal has logged in, where ``LOGIN_MAIL`` is on."""

from __future__ import annotations

import logging
from threading import BoundedSemaphore, Thread
from typing import Any

from django.core.mail import EmailMessage
from django.db import connections

from pikku_auth.conf import conf
from pikku_auth.flows.log import fields
from pikku_auth.flows.mail import message
from pikku_auth.models import LoginSession
from pikku_auth.models.users import username_of

logger = logging.getLogger("pikku_auth")

MOST_AT_ONCE = 10
"""Mails that a process sends at the same time. The next one is left out, and logged."""

THREAD = "pikku-auth-login-mail"

_places = BoundedSemaphore(MOST_AT_ONCE)


def tell_human(*, login: LoginSession, **_kwargs: object) -> None:
    """Mail ``login``'s human that it has begun. Receives ``login_started``, after the commit.

    It is sent by a thread of its own: a mail server that is slow or away delays no login. Someone
    without an address hears nothing.
    """
    if not conf.login_mail:
        return
    user: Any = login.user
    address = getattr(user, user.get_email_field_name(), "") or ""
    if not address:
        return
    mail = message("new_login", [address], {"login": login, "username": username_of(user)})
    if not _places.acquire(blocking=False):
        extra = fields("too_many_mails", login)
        logger.warning("No mail about %s: too many are being sent", login, extra=extra)
        return
    Thread(target=_send, args=(mail, login), name=THREAD, daemon=True).start()


def _send(mail: EmailMessage, login: LoginSession) -> None:
    try:
        mail.send()
    except Exception:  # whatever the host's mail backend raises
        extra = fields("mail_not_sent", login)
        logger.exception("A mail about %s was not sent", login, extra=extra)
    finally:
        connections.close_all()  # of this thread: some backends keep mails in the database
        _places.release()
