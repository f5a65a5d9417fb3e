"""Metadata: small JSON objects pass unchanged, everything hostile is refused."""

from __future__ import annotations

import json
from collections import OrderedDict
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.core.metadata import check_metadata, parse_metadata

names = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
members = scalars | st.lists(scalars, max_size=3) | st.dictionaries(names, scalars, max_size=3)
anything = st.recursive(
    scalars | st.binary() | st.floats() | st.sets(st.integers()) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


def nested(depth: int) -> dict[str, Any]:
    """An object that is ``depth`` deep."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"sandbox_id": "sbx_42"},
        {"a": None, "b": True, "c": 0, "d": -1.5, "e": "", "f": [], "g": {}},
        {"big": 2**63, "text": "caf\u00e9 \U0001f511"},
        {"a-b.c_D9": ["x", ["y"], {"z": [1]}]},
        {"__proto__": {"admin": True}, "constructor": "x"},
        {"n" * 64: 1},
    ],
)
def test_an_object_of_json_values_is_taken_as_it_is(metadata: dict[str, Any]) -> None:
    assert check_metadata(metadata) == metadata
    assert parse_metadata(json.dumps(metadata)) == metadata


@given(st.dictionaries(names, members, max_size=3))
def test_what_is_taken_is_what_was_given_and_survives_json(metadata: dict[str, Any]) -> None:
    assert check_metadata(metadata) == metadata
    assert parse_metadata(json.dumps(metadata)) == metadata


@given(anything)
def test_any_value_is_fit_for_json_or_a_value_error(value: object) -> None:
    taken: dict[str, Any] = {}
    with suppress(ValueError):
        taken = check_metadata(value)
    assert json.loads(json.dumps(taken)) == taken


@given(st.text() | st.text('{}[]":,\\u0dNaI1e', max_size=30))
def test_any_text_is_an_object_or_a_value_error(text: str) -> None:
    taken: dict[str, Any] = {}
    with suppress(ValueError):
        taken = parse_metadata(text)
    assert isinstance(taken, dict)


def test_mappings_and_tuples_become_plain_json() -> None:
    given_metadata = MappingProxyType({"ids": ("a", "b"), "inner": OrderedDict(x=1)})
    taken = check_metadata(given_metadata)
    assert taken == {"ids": ["a", "b"], "inner": {"x": 1}}
    assert [type(value) for value in (taken, *taken.values())] == [dict, list, dict]


def test_the_caller_keeps_its_own_object() -> None:
    mine: dict[str, Any] = {"ids": ["a"]}
    check_metadata(mine)["ids"].append("b")
    assert mine == {"ids": ["a"]}


@pytest.mark.parametrize("value", [None, [], "{}", b"{}", 7, True, [("a", 1)], {"a"}, object()])
def test_what_is_not_an_object_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(ValueError, match=r'must be a JSON object, for example \{"sandbox_id"'):
        check_metadata(value)


@pytest.mark.parametrize("text", ["[]", "7", '"x"', "null", "true", "[{}]"])
def test_json_that_is_not_an_object_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r'must be a JSON object, for example \{"sandbox_id"'):
        parse_metadata(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("sandbox_id=sbx_42", 1),
        ("{'a': 1}", 2),
        ('{"a": 1', 8),
        ('{"a": 1} x', 10),
        ('{"a": "\0"}', 8),
        ("\ufeff{}", 1),
    ],
)
def test_what_is_not_json_is_refused_with_the_place_and_an_example(
    text: str, position: int
) -> None:
    with pytest.raises(ValueError, match=rf"not JSON \(.* at character {position}\): write an ob"):
        parse_metadata(text)


def test_exactly_4096_bytes_are_taken() -> None:
    metadata = {"a": "x" * (4096 - len('{"a": ""}'))}
    assert check_metadata(metadata) == metadata
    assert parse_metadata(json.dumps(metadata)) == metadata


@pytest.mark.parametrize(
    "text",
    [
        "x" * (4096 - len('{"a": ""}') + 1),
        "\u00e9" * (4096 // 2),
        "\U0001f511" * (4096 // 4),
        "x" * 10_000_000,
    ],
)
def test_more_bytes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 4096 bytes"):
        check_metadata({"a": text})
    with pytest.raises(ValueError, match="at most 4096 bytes"):
        parse_metadata(json.dumps({"a": text}, ensure_ascii=False))


def test_many_small_members_are_too_many_bytes() -> None:
    with pytest.raises(ValueError, match="at most 4096 bytes"):
        check_metadata({str(n): n for n in range(1_000)})


@pytest.mark.parametrize("metadata", [nested(5), {"a": [[[[]]]]}, {"a": {"b": [{"c": [1]}]}}])
def test_five_deep_is_taken(metadata: dict[str, Any]) -> None:
    assert check_metadata(metadata) == metadata


@pytest.mark.parametrize("depth", [6, 100_000])
def test_deeper_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="nested at most 5 deep"):
        check_metadata(nested(depth))


@pytest.mark.parametrize(
    "value",
    [[[[[[]]]]], ((((((),),),),),), [[[[{}]]]]],
)
def test_lists_count_as_depth_too(value: object) -> None:
    with pytest.raises(ValueError, match="nested at most 5 deep"):
        check_metadata({"a": value})


@pytest.mark.parametrize("depth", [5, 600, 2_000])
def test_deep_json_within_the_size_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="nested at most 5 deep"):
        parse_metadata('{"a":' + "[" * depth + "]" * depth + "}")


def test_very_deep_json_is_refused_by_its_size() -> None:
    with pytest.raises(ValueError, match="at most 4096 bytes"):
        parse_metadata('{"a":' * 100_000 + "1" + "}" * 100_000)


def test_an_object_inside_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    with pytest.raises(ValueError, match="nested at most 5 deep"):
        check_metadata(loop)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_json_does_not_know_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="it is not a JSON value"):
        parse_metadata(f'{{"a": {number}}}')
    with pytest.raises(ValueError, match="it is not a JSON value"):
        check_metadata({"a": [float(number)]})


def test_a_number_too_long_to_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be stored"):
        check_metadata({"a": 10**5_000})


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"b": {"a": 1, "a": 1}}'])
def test_a_member_named_twice_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names a member twice"):
        parse_metadata(text)


@pytest.mark.parametrize("metadata", [{"a": "\0"}, {"a": ["b\0c"]}])
def test_a_nul_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="can't hold a NUL"):
        check_metadata(metadata)
    with pytest.raises(ValueError, match="can't hold a NUL"):
        parse_metadata(json.dumps(metadata))


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can't be stored"):
        check_metadata({"a": text})
    with pytest.raises(ValueError, match="can't be stored"):
        parse_metadata(json.dumps({"a": text}))


@pytest.mark.parametrize(
    "value",
    [b"x", {1, 2}, frozenset(), Decimal(1), 1j, datetime(2026, 3, 1, tzinfo=UTC), object, range(3)],
)
def test_a_value_that_json_does_not_know_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="it is not a JSON value"):
        check_metadata({"a": value})


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a\n",
        "a\0",
        "n" * 65,
        "n" * 10_000_000,
        "caf\u00e9",
        "a'b",
        'a"b',
        "a->b",
        "$a",
        "a/b",
        "<b>",
        "\ud800",
        None,
        1,
        True,
        ("a",),
        b"a",
    ],
)
def test_a_name_outside_of_the_rule_is_refused_shortly(name: Any) -> None:
    with pytest.raises(ValueError, match="can't have a member named") as caught:
        check_metadata({"outer": [{name: 1}]})
    assert len(str(caught.value)) < 300


def test_a_value_is_refused_shortly() -> None:
    with pytest.raises(ValueError, match="it is not a JSON value") as caught:
        check_metadata({"a": b"x" * 10_000_000})
    assert len(str(caught.value)) < 300
