"""The permission grammar: what a scope is, and what a grant covers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikku_auth.core.permissions import (
    allows,
    covers,
    intersect,
    missing,
    normalise,
    parse_scope,
    scope_strings,
    unknown,
)

words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", fullmatch=True)
few_words = st.sampled_from(["sandbox", "sandboxes", "Sandbox", "perm", "read", "readonly"])
scopes = st.tuples(words | few_words, words | few_words | st.just("*")).map(":".join) | st.just("*")
few_scopes = st.tuples(few_words, few_words | st.just("*")).map(":".join) | st.just("*")
grants = st.lists(scopes | few_scopes, max_size=10)


@pytest.mark.parametrize(
    ("scope", "parts"),
    [
        ("sandbox:read", ("sandbox", "read")),
        ("sandbox:*", ("sandbox", "*")),
        ("*", ("*", "*")),
        ("perm:shop.view_order", ("perm", "shop.view_order")),
        ("Sandbox:Read", ("Sandbox", "Read")),
        ("2fa:re-set_all.v2", ("2fa", "re-set_all.v2")),
        ("a:b", ("a", "b")),
        ("r" * 100 + ":" + "a" * 100, ("r" * 100, "a" * 100)),
    ],
)
def test_a_scope_is_a_resource_and_an_action(scope: str, parts: tuple[str, str]) -> None:
    assert parse_scope(scope) == parts


@pytest.mark.parametrize(
    "scope",
    [
        "",
        ":",
        "sandbox",
        "sandbox:",
        ":read",
        "*:*",
        "*:read",
        "**",
        "sand*:read",
        "sandbox:re*",
        "sandbox:read:now",
        "sandbox::read",
        "sandbox: read",
        " sandbox:read",
        "sandbox:read\n",
        "sandbox:read\0",
        "sandbox,user:read",
        "-sandbox:read",
        ".sandbox:read",
        "sandbox:_read",
        "sandbox/read",
        "r" * 101 + ":read",
        "sandbox:" + "a" * 101,
        None,
        7,
        ("sandbox", "read"),
        b"sandbox:read",
    ],
)
def test_anything_else_is_refused_with_examples(scope: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a scope: .*sandbox:read.*sandbox:\*"):
        parse_scope(scope)


@pytest.mark.parametrize(
    "scope",
    [
        "\u0455andbox:read",
        "sandbox\uff1aread",
        "sandbox\u2236read",
        "sandbox:r\u0435ad",
        "\uff53andbox:read",
        "sandbox:\uff0a",
        "sandbox:\u2217",
        "sand\u200bbox:read",
        "sandbox:read\u0301",
        "\u0131d:read",
        "\u202esandbox:read",
        "sandbox:\u0661",
    ],
)
def test_what_only_looks_like_a_scope_is_refused(scope: str) -> None:
    with pytest.raises(ValueError, match="is not a scope"):
        parse_scope(scope)


@given(st.text() | st.text("ab:*._-\n", max_size=5))
def test_any_text_is_ascii_of_the_grammar_or_a_value_error(text: str) -> None:
    resource, action = "sandbox", "read"
    with suppress(ValueError):
        resource, action = parse_scope(text)
    assert (resource + action).isascii()
    assert ":" not in resource + action


@given(scopes)
def test_a_scope_is_split_without_loss(scope: str) -> None:
    assert scope_strings(normalise([scope])) == [scope]


@pytest.mark.parametrize(
    ("grant", "permissions"),
    [
        ([], {}),
        ({}, {}),
        ({"sandbox": []}, {}),
        (["sandbox:write", "sandbox:read"], {"sandbox": ["read", "write"]}),
        ({"sandbox": ["write", "read", "read"]}, {"sandbox": ["read", "write"]}),
        ({"user": ("read",), "sandbox": {"read"}}, {"sandbox": ["read"], "user": ["read"]}),
        (["*"], {"*": ["*"]}),
        ({"*": ["*"]}, {"*": ["*"]}),
        (["sandbox:*", "sandbox:read"], {"sandbox": ["*", "read"]}),
        ((scope for scope in ["sandbox:read"]), {"sandbox": ["read"]}),
    ],
)
def test_permissions_are_stored_in_one_spelling(
    grant: Any, permissions: dict[str, list[str]]
) -> None:
    normalised = normalise(grant)
    assert normalised == permissions
    assert list(normalised) == sorted(normalised)


@given(grants)
def test_normalising_twice_changes_nothing(grant: list[str]) -> None:
    once = normalise(grant)
    assert normalise(once) == once


@given(grants)
def test_permissions_go_to_scope_strings_and_back(grant: list[str]) -> None:
    written = scope_strings(normalise(grant))
    assert set(written) == set(grant)
    assert normalise(written) == normalise(grant)


@pytest.mark.parametrize(
    "grant",
    [
        ["sandbox"],
        {"sandbox": ["read:now"]},
        {"sand:box": ["read"]},
        {"*": ["read"]},
        {"": ["read"]},
        {"sandbox": [""]},
        [None],
        [["sandbox", "read"]],
    ],
)
def test_one_bad_scope_spoils_the_grant(grant: Any) -> None:
    with pytest.raises(ValueError, match="is not a scope"):
        normalise(grant)


def test_a_lone_string_is_refused_with_the_list_that_was_meant() -> None:
    with pytest.raises(ValueError, match=r"Give the scopes as a list: \['sandbox:read'\]"):
        normalise("sandbox:read")


def test_a_lone_action_is_refused_with_the_list_that_was_meant() -> None:
    with pytest.raises(ValueError, match=r"actions of 'sandbox' as a list: \['read'\]"):
        normalise({"sandbox": "read"})


@pytest.mark.parametrize("grant", [7, {"sandbox": None}, {"sandbox": [None]}, {1: ["read"]}])
def test_what_is_no_list_of_words_is_refused(grant: Any) -> None:
    with pytest.raises(ValueError, match=r"as a list, not|not both words"):
        normalise(grant)


def test_a_vocabulary_may_be_larger_than_a_key() -> None:
    assert len(normalise([f"r{n}:read" for n in range(201)], most=None)) == 201


def test_two_hundred_scopes_are_taken() -> None:
    assert len(normalise(f"r{n}:read" for n in range(200))) == 200


@pytest.mark.parametrize(
    "grant",
    [
        [f"r{n}:read" for n in range(201)],
        {"sandbox": [f"a{n}" for n in range(201)]},
    ],
)
def test_one_scope_too_many_is_refused(grant: Any) -> None:
    with pytest.raises(ValueError, match="at most 200 scopes"):
        normalise(grant)


def test_a_scope_said_often_counts_once() -> None:
    assert normalise(["sandbox:read"] * 201) == {"sandbox": ["read"]}


@given(grants, scopes | few_scopes)
def test_a_scope_is_covered_if_it_or_its_wildcard_is_in_the_grant(
    grant: list[str], scope: str
) -> None:
    resource = scope.partition(":")[0]
    expected = not {scope, f"{resource}:*", "*"}.isdisjoint(grant)
    assert covers(normalise(grant), scope) is expected


@given(scopes)
def test_nothing_granted_covers_nothing(scope: str) -> None:
    assert not covers({}, scope)


@given(scopes)
def test_everything_granted_covers_everything(scope: str) -> None:
    assert covers(normalise(["*"]), scope)


@pytest.mark.parametrize(
    ("granted", "required"),
    [
        ("sandbox:read", "sandbox:write"),
        ("sandbox:read", "sandbox:readonly"),
        ("sandbox:readonly", "sandbox:read"),
        ("sandbox:read", "sandbox:Read"),
        ("Sandbox:read", "sandbox:read"),
        ("sandbox:read", "sandboxes:read"),
        ("sandbox:read", "sandbox:*"),
        ("sandbox:read", "*"),
        ("sandbox:*", "*"),
        ("sandbox:*", "user:read"),
        ("sandbox:*", "sandbox.v2:read"),
        ("sandbox:read", "read:sandbox"),
    ],
)
def test_what_is_near_a_grant_is_not_covered_by_it(granted: str, required: str) -> None:
    assert not covers(normalise([granted]), required)


@pytest.mark.parametrize("scope", ["", "sandbox", "*:read", "sandbox:read "])
def test_asking_for_a_malformed_scope_is_an_error_even_of_everything(scope: str) -> None:
    with pytest.raises(ValueError, match="is not a scope"):
        covers(normalise(["*"]), scope)


@given(st.text(), st.text())
def test_a_spelling_outside_of_the_grammar_is_allowed_by_a_wildcard_alone(
    resource: str, action: str
) -> None:
    assert not allows(normalise(["sandbox:read"]), f"~{resource}", action)
    assert allows(normalise(["sandbox:*"]), "sandbox", action)
    assert allows(normalise(["*"]), resource, action)


def test_missing_scopes_are_named_in_the_order_required() -> None:
    granted = normalise(["sandbox:read", "user:*"])
    required = ["sandbox:write", "user:read", "build:run", "sandbox:read"]
    assert missing(granted, required) == ["sandbox:write", "build:run"]


def test_nothing_required_is_never_missing() -> None:
    assert missing({}, []) == []


@pytest.mark.parametrize(
    ("grant", "strange"),
    [
        (["sandbox:read", "sandbox:write"], []),
        (["sandbox:*"], []),
        (["*"], []),
        (["perm:shop.view_order", "perm:*"], []),
        (["sandbox:delete"], ["sandbox:delete"]),
        (["user:read"], ["user:read"]),
        (["user:*"], ["user:*"]),
        (["Sandbox:read"], ["Sandbox:read"]),
        (["zoo:b", "sandbox:read", "zoo:a"], ["zoo:a", "zoo:b"]),
    ],
)
def test_scopes_outside_of_the_vocabulary_are_unknown(grant: list[str], strange: list[str]) -> None:
    vocabulary = normalise({"sandbox": ["read", "write"]})
    assert unknown(normalise(grant), vocabulary) == strange


def test_an_empty_vocabulary_knows_no_scope_of_the_host() -> None:
    assert unknown(normalise(["sandbox:read", "*", "perm:*"]), {}) == ["sandbox:read"]


@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        (["sandbox:*"], ["sandbox:read"], ["sandbox:read"]),
        (["*"], ["sandbox:read", "sandbox:*", "perm:shop.view_order"], None),
        (["perm:*"], ["perm:shop.view_order", "sandbox:read"], ["perm:shop.view_order"]),
        (["*"], ["*"], ["*"]),
        (["sandbox:*", "sandbox:read"], ["sandbox:write"], ["sandbox:write"]),
        (["sandbox:read"], ["sandbox:write"], []),
        (["sandbox:*"], ["sandboxes:read"], []),
        (["sandbox:read", "user:*"], ["sandbox:*", "user:read"], ["sandbox:read", "user:read"]),
        (["*"], [], []),
    ],
)
def test_the_narrower_of_two_scopes_remains(
    a: list[str], b: list[str], both: list[str] | None
) -> None:
    expected = normalise(b if both is None else both)
    assert intersect(normalise(a), normalise(b)) == expected
    assert intersect(normalise(b), normalise(a)) == expected


@given(grants, grants, scopes | few_scopes)
def test_an_intersection_covers_what_both_grants_cover(
    a: list[str], b: list[str], scope: str
) -> None:
    one, other = normalise(a), normalise(b)
    expected = covers(one, scope) and covers(other, scope)
    assert covers(intersect(one, other), scope) is expected


@given(grants, grants)
def test_an_intersection_is_normalised_and_has_no_order(a: list[str], b: list[str]) -> None:
    one, other = normalise(a), normalise(b)
    both = intersect(one, other)
    assert both == intersect(other, one) == normalise(both, most=None)
    assert list(both) == sorted(both)
    assert missing(one, scope_strings(both)) == missing(other, scope_strings(both)) == []


@given(grants)
def test_an_intersection_with_itself_or_everything_changes_nothing(grant: list[str]) -> None:
    permissions = normalise(grant)
    assert intersect(permissions, permissions) == permissions
    assert intersect(permissions, normalise(["*"])) == permissions
    assert intersect(permissions, {}) == {}
