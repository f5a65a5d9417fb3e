"""What people read in other languages, and that no sentence is forgotten."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import translation
from django.utils.translation.trans_real import CONTEXT_SEPARATOR

import pikku_auth
from pikku_auth.flows import IssuedKey, revoke_key
from pikku_auth.models import ServiceUser

ROOT = Path(pikku_auth.__file__).parent
LANGUAGES = sorted(path.name for path in (ROOT / "locale").iterdir())

PLAIN = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
# What marks a sentence, and how many of its arguments say which: a context comes first.
MARKS = dict.fromkeys(PLAIN, 1) | {"npgettext_lazy": 2}


def mark_of(node: ast.AST) -> str:
    """The name of the mark that ``node`` is a call of, or ``""``."""
    name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
    return name if name in MARKS else ""


def in_code() -> Iterator[str]:
    """What is marked for translation in the package's code."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (mark := mark_of(node)):
                words = node.args[: MARKS[mark]]
                assert all(isinstance(word, ast.Constant) for word in words), (
                    f"{path}:{node.lineno}"
                )
                yield CONTEXT_SEPARATOR.join(word.value for word in words)


def in_templates() -> Iterator[str]:
    """The same of the templates; a plural's singular stands for both."""
    for path in (ROOT / "templates").rglob("*.*"):
        text = path.read_text()
        for quoted in re.findall(r"""{% translate ("[^"]*"|'[^']*') %}""", text):
            yield quoted[1:-1]
        for block in re.findall(r"{% blocktranslate.*?%}(.*?){% endblocktranslate %}", text):
            yield re.sub(r"{{ (\w+) }}", r"%(\1)s", block.partition("{% plural %}")[0])


def translated(language: str) -> dict[str, str]:
    """What the catalogue of ``language`` has, a plural by its singular."""
    found = gettext.translation("django", localedir=ROOT / "locale", languages=[language])
    catalog: dict[Any, str] = found._catalog  # type: ignore[attr-defined]
    return {msgid if isinstance(msgid, str) else msgid[0]: text for msgid, text in catalog.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_translated(language: str) -> None:
    known = translated(language)
    assert len(known) > 200
    assert {*in_code(), *in_templates()} - {msgid for msgid, text in known.items() if text} == set()


REFUSALS = {"BrokenRule", "InvalidInput", "KeyNotFound", "KeyNotLive", "ValueError"}


def refused_in() -> Iterator[ast.Call]:
    """Where a rule or a verb says what is wrong with what it was given."""
    for path in [*(ROOT / "core").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS:
                yield node


def unmarked(node: ast.AST) -> Iterator[str]:
    """The sentences in ``node`` that can't be translated."""
    if mark_of(node):
        return
    if isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and re.search(r"\w \w", str(node.value))
    ):
        yield ast.unparse(node)
    for child in ast.iter_child_nodes(node):
        yield from unmarked(child)


def test_a_sentence_without_a_mark_is_found() -> None:
    code = ast.parse(
        'raise InvalidInput("name", _("It has a mark."), "It has none.", f"{nor} this")'
    )
    assert list(unmarked(code)) == ["'It has none.'", "f'{nor} this'"]


def test_nothing_is_refused_in_words_that_can_not_be_translated() -> None:
    refused = list(refused_in())
    assert len(refused) > 50
    assert [sentence for node in refused for sentence in unmarked(node)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_keeps_what_is_filled_in(language: str) -> None:
    blanks = re.compile(r"%\(\w+\)[rsd]|</?\w+>")
    for msgid, text in translated(language).items():
        assert sorted(blanks.findall(text)) == sorted(blanks.findall(msgid))


@pytest.mark.django_db
def test_the_page_speaks_german(make_user: Any, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    browser = Client()
    browser.force_login(make_user(), "django.contrib.auth.backends.ModelBackend")
    answers = [browser.post("/auth/activate", {"user_code": "BBBB-BBBB"}) for _ in range(6)]
    assert "Diesen Code gibt es nicht." in answers[0].content.decode()
    assert "Warten Sie 10 Minuten." in answers[5].content.decode()


@pytest.mark.django_db
class TestCommandsSpeakEnglish:
    """Whatever the host speaks: they are read by scripts, and half of one would be neither."""

    @pytest.fixture(autouse=True)
    def _german(self, settings: Any) -> None:
        settings.LANGUAGE_CODE = "de"

    @pytest.mark.parametrize(
        ("command", "says"),
        [
            (["revoke_key", "pka_0"], "There is no key 'pka_0': list_keys shows them all."),
            (
                ["mint_key", "--service", "sandbox-runtime", "--scope", "nonsense"],
                "'nonsense' is not a scope: write resource:action",
            ),
            (
                ["mint_key", "--service", "sandbox-runtim"],
                "There is no service user 'sandbox-runtim'. Did you mean sandbox-runtime? To make",
            ),
        ],
    )
    def test_when_they_refuse(
        self, service_user: ServiceUser, command: list[str], says: str
    ) -> None:
        with pytest.raises(CommandError, match=re.escape(says)):
            call_command(*command)

    def test_when_they_answer(
        self, mint: Callable[..., IssuedKey], capsys: pytest.CaptureFixture[str]
    ) -> None:
        revoke_key(mint(lifetime=timedelta(days=3)).key)
        call_command("list_keys")
        assert re.search(r"  revoked  never +in 2 days", capsys.readouterr().out)

    def test_and_leave_the_language_as_it_was(self, service_user: ServiceUser) -> None:
        with translation.override("de"):
            call_command("list_keys", verbosity=0)
            assert translation.get_language() == "de"
