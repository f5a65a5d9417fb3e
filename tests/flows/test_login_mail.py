"""``LOGIN_MAIL``: the human hears of a terminal that has logged in as them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend

from pikku_auth.flows import AuditContext, login_mail
from tests.conftest import pikku_settings
from tests.logins import logged_in
from tests.mailers import mail_by

pytestmark = pytest.mark.django_db(transaction=True)

MakeUser = Callable[..., Any]
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
FROM_THERE = AuditContext(ip="192.0.2.7", user_agent="pikku-cli/1")


def with_address(user: Any, address: str = "ada@example.com") -> Any:
    """``user``, who has that e-mail address, whatever the host's user model is."""
    setattr(user, user.get_email_field_name(), address)
    user.save()
    return user


def sent() -> list[Any]:
    """What is mailed, once the threads are through."""
    for thread in threading.enumerate():
        if thread.name == login_mail.THREAD:
            thread.join()
    return mail.outbox


@pytest.fixture
def _on() -> Iterator[None]:
    with pikku_settings(LOGIN_MAIL=True):
        yield


class Away(BaseEmailBackend):
    """A mail server that is away."""

    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionRefusedError


class Slow(BaseEmailBackend):
    """A mail server that answers when it is told to."""

    answers = threading.Event()

    def send_messages(self, email_messages: Any) -> int:
        assert self.answers.wait(30)
        return 1


def test_nobody_is_mailed_by_default(make_user: MakeUser) -> None:
    logged_in(with_address(make_user()))
    assert sent() == []


@pytest.mark.usefixtures("_on")
def test_the_human_hears_of_it(make_user: MakeUser) -> None:
    ada = with_address(make_user())
    issued = logged_in(ada, now=NOW, context=FROM_THERE)
    (one,) = sent()
    assert (one.subject, one.to) == ("A terminal has logged in as you", ["ada@example.com"])
    assert one.body == (
        f"A program in a terminal has logged in as {ada.get_username()}:\n"
        "\n"
        "  Program: pikku-cli\n"
        "  When: 2026-12-01 12:00 UTC\n"
        "  From where: 192.0.2.7\n"
        "\n"
        "If that was you, there is nothing to do.\n"
        "If not, change your password: that ends every such login. Then tell those who run this "
        "site.\n\n"
    )
    assert issued.token.reveal() not in str(one.message())


@pytest.mark.usefixtures("_on")
def test_who_has_no_address_hears_nothing_and_is_logged_in(make_user: MakeUser) -> None:
    assert logged_in(with_address(make_user(), ""))
    assert sent() == []


@pytest.mark.usefixtures("_on")
def test_a_mail_server_that_is_away_refuses_no_login(
    make_user: MakeUser, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mail_by(settings, f"{__name__}.Away")
    issued = logged_in(with_address(make_user()))
    assert sent() == []
    assert f"A mail about {issued.login} was not sent" in caplog.messages


@pytest.mark.usefixtures("_on")
def test_a_mail_server_that_is_slow_delays_no_login(
    make_user: MakeUser, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mail_by(settings, f"{__name__}.Slow")
    Slow.answers.clear()
    ada = with_address(make_user())
    try:
        logins = [logged_in(ada) for _ in range(login_mail.MOST_AT_ONCE + 1)]
    finally:
        Slow.answers.set()
        sent()
    assert f"No mail about {logins[-1].login}: too many are being sent" in caplog.messages


@pytest.mark.usefixtures("_on")
def test_the_mail_speaks_the_language_of_the_site(make_user: MakeUser, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    logged_in(with_address(make_user()))
    assert sent()[0].subject == "Ein Terminal hat sich in Ihrem Namen angemeldet"
