"""What can go wrong has a stable code, and tells a caller nothing it should not know."""

from __future__ import annotations

import pytest

from pikku_auth.exceptions import (
    BrowserSessionRequired,
    DeviceFlowError,
    ExceedsParent,
    HTTPSRequired,
    InsufficientScope,
    InvalidInput,
    InvalidKey,
    InvalidTicket,
    InvalidToken,
    KeyInAuthorization,
    KeyLimitReached,
    KeyNotFound,
    KeyNotLive,
    LimitExceeded,
    LoginInKeyHeader,
    MappingFailed,
    MayNot,
    NetworkNotAllowed,
    NotAuthenticated,
    NothingGranted,
    NotYourServiceUser,
    OriginNotAllowed,
    PikkuAuthError,
    Refused,
    RequestDiffers,
    RequestRepeated,
    RequestRunning,
    ServiceUserWanted,
    TooManyAttempts,
    Unavailable,
    UnknownServiceUser,
    UnscopedView,
    WidenedPermissions,
)

REASON = "the precise one"

_OF_CODE = {Refused, DeviceFlowError, NothingGranted, MappingFailed, WidenedPermissions}
"""What is told in other words, or to the host's programmers."""

# refusal, code, status, wait, public wording
REFUSALS: list[tuple[Refused, str, int, int | None, str]] = [
    (InvalidKey(REASON), "invalid_key", 401, None, "Invalid API key."),
    (InvalidToken(REASON), "invalid_token", 401, None, "Invalid or expired login."),
    (
        KeyInAuthorization(REASON),
        "invalid_token",
        401,
        None,
        "This is an API key: send it in the header x-api-key, not in Authorization.",
    ),
    (
        LoginInKeyHeader(REASON),
        "invalid_key",
        401,
        None,
        (
            "This is a login token: send it as Authorization: Bearer <token>, not in the header "
            "x-api-key."
        ),
    ),
    (
        HTTPSRequired(REASON),
        "https_required",
        403,
        None,
        "Send this over https. The credential was readable on its way here: replace it.",
    ),
    (InvalidTicket(REASON), "invalid_ticket", 401, None, "Invalid or used ticket."),
    (
        BrowserSessionRequired(REASON),
        "browser_session_required",
        403,
        None,
        "This page does not accept API keys or login tokens: sign in with a browser.",
    ),
    (
        OriginNotAllowed(REASON),
        "origin_not_allowed",
        403,
        None,
        "This site may not connect here.",
    ),
    (
        NetworkNotAllowed(REASON),
        "network_not_allowed",
        403,
        None,
        "This API key may not be used from this network.",
    ),
    (
        UnscopedView(REASON),
        "unscoped_view",
        403,
        None,
        (
            "This view is closed to API keys and to logins with scopes, because it demands no "
            "scope. To open it, have it demand a scope, or mark it with @any_key."
        ),
    ),
    (
        InsufficientScope(["sandbox:write", "user:read"]),
        "insufficient_scope",
        403,
        None,
        "Missing scope: sandbox:write, user:read.",
    ),
    (
        MayNot("pikku_auth.mint_apikey"),
        "may_not",
        403,
        None,
        "You do not have the permission for that.",
    ),
    (
        NotYourServiceUser("billing"),
        "not_your_service_user",
        403,
        None,
        "There is no service user of that name whose keys you manage.",
    ),
    (
        LimitExceeded(REASON, 30),
        "limit_exceeded",
        429,
        30,
        "This API key's limit is used up.",
    ),
    (
        NotAuthenticated(REASON),
        "not_authenticated",
        401,
        None,
        "This needs an API key or a login.",
    ),
    (
        TooManyAttempts(30),
        "too_many_attempts",
        429,
        30,
        "Too many requests. Please try again later.",
    ),
    (
        Unavailable(REASON),
        "unavailable",
        503,
        5,
        "Authentication is temporarily unavailable.",
    ),
]
MISTAKES: list[tuple[InvalidInput, str, str]] = [
    (InvalidInput("name", "Too long."), "invalid_input", "name"),
    (UnknownServiceUser("x", []), "unknown_service_user", "service_user"),
    (KeyNotFound("key", "No such key."), "key_not_found", "key"),
    (KeyNotLive("key", "Revoked."), "key_not_live", "key"),
    (ExceedsParent("scopes", "Too much."), "exceeds_parent", "scopes"),
    (KeyLimitReached("pka_x", 5), "key_limit_reached", "parent"),
    (RequestDiffers(), "request_differs", "request_id"),
    (RequestRepeated("pka_x"), "request_repeated", "request_id"),
    (RequestRunning(1), "request_running", "request_id"),
    (ServiceUserWanted(), "service_user_wanted", "service_user"),
]


def classes_below(parent: type[PikkuAuthError]) -> set[type[PikkuAuthError]]:
    children = set(parent.__subclasses__())
    return children.union(*map(classes_below, children))


def test_each_class_of_the_tree_is_in_a_table() -> None:
    tried = {type(refusal) for refusal, *_ in REFUSALS} | {type(error) for error, *_ in MISTAKES}
    assert classes_below(PikkuAuthError) - _OF_CODE == tried


def test_an_error_of_the_device_flow_has_the_protocols_code_and_words() -> None:
    error = DeviceFlowError("access_denied", "Access denied", 403)
    assert (error.error, error.description, error.status) == ("access_denied", "Access denied", 403)
    assert str(error) == "Access denied"


def test_each_code_is_of_one_class_alone() -> None:
    """But for a credential in the other's header, which is told in other words only."""
    codes = [refusal.code for refusal, *_ in REFUSALS if "code" in vars(type(refusal))]
    codes += [code for _, code, _ in MISTAKES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(("refusal", "code", "status", "wait", "wording"), REFUSALS)
def test_a_refusal_has_a_code_a_status_and_a_public_wording(
    refusal: Refused, code: str, status: int, wait: int | None, wording: str
) -> None:
    assert (refusal.code, refusal.status, refusal.retry_after) == (code, status, wait)
    assert str(refusal) == wording


@pytest.mark.parametrize("refusal", [refusal for refusal, *_ in REFUSALS])
def test_the_public_wording_never_contains_the_reason(refusal: Refused) -> None:
    assert refusal.reason not in str(refusal)
    assert refusal.reason not in f"{refusal}"


@pytest.mark.parametrize("reason", ["malformed", "unknown", "revoked", "expired", "disabled"])
def test_every_dead_key_is_refused_in_the_same_words(reason: str) -> None:
    assert str(InvalidKey(reason)) == str(InvalidKey())


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (InvalidKey("revoked"), "revoked"),
        (InvalidKey(), "invalid_key"),
        (NetworkNotAllowed(), "network_not_allowed"),
        (InsufficientScope(["sandbox:read"]), "insufficient_scope"),
        (LimitExceeded("quota_exhausted", None), "quota_exhausted"),
    ],
)
def test_the_reason_is_the_precise_one_or_else_the_code(refusal: Refused, reason: str) -> None:
    assert refusal.reason == reason


def test_a_missing_scope_is_named_to_programs_too() -> None:
    assert InsufficientScope(("sandbox:write", "user:read")).missing == [
        "sandbox:write",
        "user:read",
    ]


def test_a_limit_that_is_never_filled_again_says_not_to_wait() -> None:
    assert LimitExceeded("quota_exhausted", None).retry_after is None


@pytest.mark.parametrize(("error", "code", "field"), MISTAKES)
def test_a_mistake_has_a_code_and_names_the_field(
    error: InvalidInput, code: str, field: str
) -> None:
    assert (error.code, error.field) == (code, field)


@pytest.mark.parametrize("error", [error for error, *_ in MISTAKES])
def test_a_mistake_is_a_value_error(error: InvalidInput) -> None:
    assert isinstance(error, ValueError)


def test_a_mistake_says_what_is_wrong() -> None:
    assert str(InvalidInput("name", "Too long.")) == "Too long."


@pytest.mark.parametrize(
    ("nearest", "message"),
    [
        ([], "There is no service user 'bulder'."),
        (["builder"], "There is no service user 'bulder'. Did you mean builder?"),
        (
            ["builder", "bidder"],
            "There is no service user 'bulder'. Did you mean builder or bidder?",
        ),
    ],
)
def test_an_unknown_service_user_comes_with_the_nearest_names(
    nearest: list[str], message: str
) -> None:
    error = UnknownServiceUser("bulder", nearest)
    assert str(error) == message
    assert (error.name, error.nearest) == ("bulder", nearest)
