"""The secret string: what it looks like, what is refused, and that it never shows."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import re
import secrets as random_source
import traceback
import zlib
from collections.abc import Callable
from hashlib import sha256, sha512
from typing import NoReturn
from unittest.mock import Mock

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pikku_auth.core import secrets
from pikku_auth.core.secrets import (
    PREFIX,
    Secret,
    digest_of,
    foreign_digests,
    generate,
    has_prefix,
    is_converted,
    stored_form,
)

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PUBLISHED = re.compile(r"pka_[0-9A-Za-z]{49}")

characters = st.sampled_from(ALPHABET)
numbers = st.integers(0, 2**256 - 1)
positions = st.integers(0, 52)


def secret_of(number: int) -> str:
    """The whole secret that would be made of the random ``number``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_source, "randbits", lambda _bits: number)
        return generate("pka").reveal()


secret_texts = numbers.map(secret_of)


def test_a_secret_matches_the_published_expression() -> None:
    assert PUBLISHED.fullmatch(generate("pka").reveal())


@pytest.mark.parametrize("number", [0, 1, 2**255, 2**256 - 1])
def test_every_secret_has_the_same_length(number: int) -> None:
    assert len(secret_of(number)) == len("pka_") + 43 + 6


def test_the_randomness_is_256_bits_of_the_secrets_module(monkeypatch: pytest.MonkeyPatch) -> None:
    randbits = Mock(return_value=0)
    monkeypatch.setattr(random_source, "randbits", randbits)
    generate("pka")
    randbits.assert_called_once_with(256)


@given(numbers)
def test_no_random_bit_is_lost(number: int) -> None:
    value = 0
    for character in secret_of(number)[4:47]:
        value = value * 62 + ALPHABET.index(character)
    assert value == number


def test_every_character_of_the_alphabet_occurs() -> None:
    assert set("".join(generate("pka").reveal()[4:] for _ in range(200))) == set(ALPHABET)


def test_ten_thousand_secrets_are_ten_thousand_different_ones() -> None:
    assert len({generate("pka").digest for _ in range(10_000)}) == 10_000


@given(st.from_regex(PREFIX, fullmatch=True))
def test_a_secret_of_any_prefix_is_taken_with_that_prefix(prefix: str) -> None:
    secret = generate(prefix)
    assert secret.reveal().startswith(f"{prefix}_")
    assert digest_of(secret.reveal(), prefix=prefix) == secret.digest


@pytest.mark.parametrize("prefix", ["", "p", "Pka", "1pka", "pk_a", "pk-a", "a" * 17, "pk\u00e4"])
def test_a_prefix_is_2_to_16_lower_case_letters_and_digits(prefix: str) -> None:
    assert not PREFIX.fullmatch(prefix)


def test_the_digest_is_what_sha256sum_says() -> None:
    secret = generate("pka")
    assert secret.digest == sha256(secret.reveal().encode()).hexdigest()


def test_the_start_is_the_prefix_and_eight_characters() -> None:
    secret = generate("pka")
    assert secret.preview == secret.reveal()[:12]


@given(secret_texts, positions, st.characters(min_codepoint=33, max_codepoint=126))
def test_one_wrong_character_is_always_caught(text: str, at: int, character: str) -> None:
    assume(text[at] != character)
    assert digest_of(text[:at] + character + text[at + 1 :], prefix="pka") is None


@given(secret_texts, st.integers(0, 51))
def test_two_swapped_neighbours_are_always_caught(text: str, at: int) -> None:
    assume(text[at] != text[at + 1])
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    assert digest_of(swapped, prefix="pka") is None


@given(secret_texts, positions)
def test_a_truncated_secret_is_always_caught(text: str, length: int) -> None:
    assert digest_of(text[:length], prefix="pka") is None
    assert digest_of(text[53 - length :], prefix="pka") is None


@given(secret_texts, st.text(min_size=1))
def test_a_secret_with_anything_around_it_is_refused(text: str, more: str) -> None:
    assert digest_of(text + more, prefix="pka") is None
    assert digest_of(more + text, prefix="pka") is None


def test_ten_thousand_guesses_of_the_right_shape_are_refused() -> None:
    guesses = (f"pka_{sha256(str(n).encode()).hexdigest()[:49]}" for n in range(10_000))
    assert [guess for guess in guesses if digest_of(guess, prefix="pka")] == []


def checksummed(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return body + digits


def test_the_checksum_is_the_crc32_of_all_before_it_in_base62() -> None:
    text = generate("pka").reveal()
    assert checksummed(text[:-6]) == text


@pytest.mark.parametrize("body", ["", "0" * 42, "0" * 44, "0" * 100, "!" * 43, "0" * 42 + "_"])
def test_a_right_checksum_does_not_make_up_for_a_wrong_shape(body: str) -> None:
    assert digest_of(checksummed(f"pka_{body}"), prefix="pka") is None


def test_a_checksum_of_another_prefix_is_refused() -> None:
    body = generate("pks").reveal().removeprefix("pks")
    assert digest_of(f"pka{body}", prefix="pka") is None


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Mock:
    spy = Mock(wraps=sha256)
    monkeypatch.setattr(secrets, "sha256", spy)
    return spy


@pytest.mark.parametrize("length", [129, 8_192, 10_000_000])
@pytest.mark.parametrize("start", ["", "pka_"])
def test_nothing_longer_than_128_characters_is_hashed(
    hashing: Mock, start: str, length: int
) -> None:
    text = start.ljust(length, "a")
    assert digest_of(text, prefix="pka") is None
    assert foreign_digests(text, prefixes=["pka"]) == ()
    assert not hashing.called


def test_exactly_128_characters_are_hashed(hashing: Mock) -> None:
    assert foreign_digests("a" * 128, prefixes=["pka"])
    assert hashing.call_count == 1


def test_a_mistyped_secret_is_not_hashed(hashing: Mock) -> None:
    assert digest_of("pka_" + "a" * 49, prefix="pka") is None
    assert foreign_digests("pka_" + "a" * 49, prefixes=["pka"]) == ()
    assert not hashing.called


def test_a_well_formed_secret_is_hashed_once(hashing: Mock) -> None:
    assert digest_of(secret_of(0), prefix="pka") is not None
    assert hashing.call_count == 1


@given(st.text() | st.text(st.characters(max_codepoint=255)) | st.text().map("pka_".__add__))
@example("\0")
@example("\ud800")
@example("pka_")
def test_any_text_has_a_digest_or_none_and_never_raises(text: str) -> None:
    digest = digest_of(text, prefix="pka")
    assert digest is None or re.fullmatch("[0-9a-f]{64}", digest)
    assert len(foreign_digests(text, prefixes=["pka"])) in {0, 2}


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128))
def test_a_foreign_secret_has_both_digests_and_none_of_ours(text: str) -> None:
    assume(not has_prefix(text, "pka"))
    secret = text.encode()
    expected = sha256(secret).hexdigest(), sha512(secret).hexdigest()
    assert foreign_digests(text, prefixes=["pka"]) == expected
    assert digest_of(text, prefix="pka") is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128))
def test_what_stands_for_a_sha_512_is_the_digest_of_no_text(text: str) -> None:
    secret = text.encode()
    stored = stored_form(sha512(secret).hexdigest())
    assert len(stored) == 64
    assert not is_converted(stored)
    assert stored_form(sha256(secret).hexdigest()) == sha256(secret).hexdigest()
    assert is_converted(sha256(secret).hexdigest())


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "abc\n",
        "abc\0",
        "a\tb",
        "caf\u00e9",
        "\u0430bc",
        "\x7f",
        "\x1b[31m",
        "\ud800",
    ],
)
def test_a_foreign_key_is_printable_ascii_without_spaces(text: str) -> None:
    assert foreign_digests(text, prefixes=["pka"]) == ()


@pytest.mark.parametrize("text", ["pka_", "pka_short", "pka_" + "0" * 49, "pka_!"])
def test_what_claims_to_be_ours_is_never_taken_as_foreign(text: str) -> None:
    assert foreign_digests(text, prefixes=["pka"]) == ()


@pytest.mark.parametrize(
    ("text", "ours"),
    [("pka_", True), ("pka_x", True), ("pka", False), ("pkab_x", False), ("PKA_x", False)],
)
def test_our_prefix_is_known_by_its_underscore_and_its_case(text: str, ours: bool) -> None:
    assert has_prefix(text, "pka") is ours


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        ascii,
        pprint.pformat,
        "{}".format,
        "{!r}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - how logging formats
        lambda secret: repr([{"key": secret}]),
        lambda secret: pprint.pformat({"key": [secret]}, width=1),
        lambda secret: str(ValueError(secret)),
    ],
)
def test_showing_a_secret_shows_its_start_alone(show: Callable[[Secret], str]) -> None:
    secret = generate("pka")
    assert secret.preview in show(secret)
    assert secret.reveal()[:13] not in show(secret)


def test_logging_a_secret_logs_its_start_alone(caplog: pytest.LogCaptureFixture) -> None:
    secret = generate("pka")
    logging.getLogger("host").warning("made %s", secret, extra={"secret": secret})
    assert caplog.messages == [f"made {secret.preview}…"]


def test_a_traceback_with_local_variables_shows_no_secret() -> None:
    def fail(secret: Secret) -> NoReturn:
        raise LookupError

    secret = generate("pka")
    with pytest.raises(LookupError) as caught:
        fail(secret)
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert secret.preview in shown
    assert secret.reveal() not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_can_not_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="pass its digest"):
        pickle.dumps(generate("pka"), protocol)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_secret_is_the_secret(duplicate: Callable[[Secret], Secret]) -> None:
    secret = generate("pka")
    assert duplicate(secret) is secret


def test_a_secret_can_not_be_written_as_json() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps({"key": generate("pka")})


def test_a_secret_has_no_dict_to_be_dumped() -> None:
    with pytest.raises(TypeError, match="__dict__"):
        vars(generate("pka"))
