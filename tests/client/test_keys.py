"""Managing keys from a program: what is sent, what is read, and what goes wrong on the way."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pikku_auth.client import (
    BadAnswer,
    BadValue,
    ClientError,
    Delegation,
    IssuedKey,
    Key,
    KeyNotFound,
    KeyRefused,
    Keys,
    LoginExpired,
    NotAllowed,
    NotLoggedIn,
    Rate,
    SecretLost,
    Unreachable,
)
from pikku_auth.client.keys import PAGE
from pikku_auth.client.store import Store
from tests.client.conftest import KEY, a_login
from tests.client.servers import RESET, TOKEN, Reply, Server, unused_url

SECRET = "pka_SecretOfTheKeyThatWasMade"
ANOTHER = "pka_SecretOfTheKeyThatTookOver"


def record(**changes: Any) -> dict[str, Any]:
    """A key as our server tells it, with everything that it may have."""
    return {
        "configId": "default",
        "name": "ci",
        "start": "pka_Ab12Cd34",
        "referenceId": "sandbox-runtime",
        "prefix": "pka",
        "refillInterval": 86_400_000,
        "refillAmount": 1000,
        "lastRefillAt": None,
        "enabled": True,
        "rateLimitEnabled": True,
        "rateLimitTimeWindow": 60_000,
        "rateLimitMax": 100,
        "requestCount": 3,
        "remaining": 997,
        "lastRequest": "2026-11-26T10:00:00.000Z",
        "expiresAt": "2100-01-02T03:04:05.000Z",
        "createdAt": "2026-11-23T00:00:00.000Z",
        "updatedAt": "2026-11-23T00:00:00.000Z",
        "permissions": {"sandbox": ["read", "write"]},
        "metadata": {"team": "a"},
        "id": "7",
        "state": "active",
        "scopes": ["sandbox:read"],
        "networks": ["192.0.2.0/24"],
        "parentId": "3",
        "rotatedFrom": "6",
        "revokedAt": None,
        "delegation": {"organizationIds": ["worker"], "metadata": ["box"], "maxKeys": 5},
        **changes,
    }


def issued(secret: str = SECRET, **changes: Any) -> Reply:
    return Reply(body={**record(**changes), "key": secret})


def refused(status: int, code: str, message: str = "No.", **headers: str) -> Reply:
    return Reply(status, {"message": message, "code": code}, headers)


IN_USE = refused(409, "IDEMPOTENCY_KEY_IN_USE", **{"Retry-After": "1"})
USED = Reply(409, {"message": "No.", "code": "IDEMPOTENCY_KEY_USED", "apiKey": record(id="8")})
LATER = Reply(503, {"error": "temporarily_unavailable"}, {"Retry-After": "5"})


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it has waited before it tried again, which takes no time here."""
    waited: list[float] = []
    monkeypatch.setattr("pikku_auth.client.keys.time.sleep", waited.append)
    return waited


@pytest.fixture
def keys(server: Server, key: str) -> Keys:
    return Keys(server.url)


def sent(server: Server, path: str = "create") -> list[Any]:
    return [seen.json for seen in server.to(f"/auth/api-key/{path}")]


def request_ids(server: Server, path: str = "create") -> list[str]:
    return [seen.headers["idempotency-key"] for seen in server.to(f"/auth/api-key/{path}")]


class TestWhatIsSent:
    def test_a_key_with_nothing_said_has_no_member(self, server: Server, keys: Keys) -> None:
        server.answer("/auth/api-key/create", issued())
        keys.mint()
        assert sent(server) == [{"permissions": {}}]
        assert server.seen[0].headers["x-api-key"] == KEY

    def test_everything_that_is_said_has_the_names_of_the_wire(
        self, server: Server, keys: Keys
    ) -> None:
        server.answer("/auth/api-key/create", issued())
        keys.mint(
            "sandbox-runtime",
            name="ci",
            scopes=["sandbox:write", "sandbox:read"],
            lifetime=timedelta(days=30),
            metadata={"team": "a"},
            networks=("192.0.2.0/24",),
            rate=Rate(100, timedelta(minutes=1)),
            quota=7,
            refill=Rate(1000, timedelta(days=1)),
            delegation=Delegation(["worker"], ["box"], 5),
        )
        assert sent(server) == [
            {
                "organizationId": "sandbox-runtime",
                "name": "ci",
                "permissions": {"sandbox": ["read", "write"]},
                "expiresIn": 2_592_000,
                "metadata": {"team": "a"},
                "networks": ["192.0.2.0/24"],
                "rateLimitEnabled": True,
                "rateLimitMax": 100,
                "rateLimitTimeWindow": 60_000,
                "remaining": 7,
                "refillAmount": 1000,
                "refillInterval": 86_400_000,
                "delegation": {"organizationIds": ["worker"], "metadata": ["box"], "maxKeys": 5},
            }
        ]

    @pytest.mark.parametrize(
        ("lifetime", "told"), [(None, None), (90, 90), (0.1, 1), (timedelta(seconds=90.6), 91)]
    )
    def test_a_lifetime_is_whole_seconds(
        self, server: Server, keys: Keys, lifetime: Any, told: int | None
    ) -> None:
        server.answer("/auth/api-key/create", issued())
        keys.mint(lifetime=lifetime)
        assert sent(server)[0]["expiresIn"] == told

    def test_each_key_that_is_made_has_a_request_id_of_its_own(
        self, server: Server, keys: Keys
    ) -> None:
        server.answer("/auth/api-key/create", issued())
        keys.mint()
        keys.mint()
        one, other = request_ids(server)
        assert one != other

    @pytest.mark.parametrize(
        ("options", "members"),
        [
            ({}, {"overlap": 86_400}),
            ({"overlap": 3600}, {"overlap": 3600}),
            ({"key": 7, "overlap": None}, {"keyId": "7", "overlap": None}),
            (
                {"key": "7", "overlap": None, "keep_children": True},
                {"keyId": "7", "overlap": None, "keepChildren": True},
            ),
        ],
    )
    def test_a_rotation_says_how_the_old_key_ends(
        self, server: Server, keys: Keys, options: dict[str, Any], members: dict[str, Any]
    ) -> None:
        server.answer("/auth/api-key/rotate", issued())
        keys.rotate(**options)
        assert sent(server, "rotate") == [members]

    @pytest.mark.parametrize(
        ("act", "members"),
        [
            (lambda keys: keys.rename("7", "new"), {"name": "new"}),
            (lambda keys: keys.enable("7"), {"enabled": True}),
            (lambda keys: keys.disable("7"), {"enabled": False}),
            (lambda keys: keys.shorten("7", timedelta(hours=1)), {"expiresIn": 3600}),
        ],
    )
    def test_a_change_is_one_member(
        self, server: Server, keys: Keys, act: Callable[[Keys], Key], members: dict[str, Any]
    ) -> None:
        server.answer("/auth/api-key/update", Reply(body=record()))
        assert act(keys).id == "7"
        assert sent(server, "update") == [{"keyId": "7", **members}]

    def test_a_revocation_has_a_reason_if_one_is_given(self, server: Server, keys: Keys) -> None:
        server.answer("/auth/api-key/delete", Reply(body={"success": True}))
        keys.revoke("7")
        keys.revoke("7", reason="over")
        assert sent(server, "delete") == [{"keyId": "7"}, {"keyId": "7", "reason": "over"}]

    def test_a_list_is_asked_for_in_pages_and_has_each_key_once(
        self, server: Server, keys: Keys
    ) -> None:
        first = [record(id=str(number)) for number in range(PAGE)]
        rest = [first[-1], record(id="100")]  # one was revoked meanwhile, and all moved up
        server.answer(
            "/auth/api-key/list", Reply(body={"apiKeys": first}), Reply(body={"apiKeys": rest})
        )
        found = keys.list("sandbox-runtime", parent=3, include_revoked=True, descending=True)
        assert [key.id for key in found] == [str(number) for number in range(PAGE + 1)]
        queries = [parse_qs(urlsplit(seen.path).query) for seen in server.seen]
        assert queries[0] == {
            "organizationId": ["sandbox-runtime"],
            "parentId": ["3"],
            "includeRevoked": ["true"],
            "sortBy": ["createdAt"],
            "sortDirection": ["desc"],
            "limit": ["100"],
            "offset": ["0"],
        }
        assert queries[1]["offset"] == ["100"]

    def test_a_login_or_a_token_does_it_as_well(
        self, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.answer("/auth/api-key/get", Reply(body=record()))
        store.save(a_login(server.url))
        Keys(server.url).get("7")
        monkeypatch.setenv("PIKKU_TOKEN", "pks_TokenOfCI")
        Keys(server.url).get("7")
        monkeypatch.setenv("PIKKU_API_KEY", KEY)
        Keys(server.url, key_header="X-Machine").get("7")
        stored, given, machine = (seen.headers for seen in server.seen)
        assert stored["authorization"] == f"Bearer {TOKEN}"
        assert given["authorization"] == "Bearer pks_TokenOfCI"
        assert machine["x-machine"] == KEY
        assert "authorization" not in machine


class TestWhatIsRead:
    def test_a_record_of_our_server(self, server: Server, keys: Keys) -> None:
        server.answer("/auth/api-key/get", Reply(body=record()))
        assert keys.get("7") == Key(
            id="7",
            service_user="sandbox-runtime",
            name="ci",
            start="pka_Ab12Cd34",
            state="active",
            enabled=True,
            scopes=("sandbox:read",),
            permissions={"sandbox": ["read", "write"]},
            metadata={"team": "a"},
            networks=("192.0.2.0/24",),
            rate=Rate(100, timedelta(minutes=1)),
            remaining=997,
            refill=Rate(1000, timedelta(days=1)),
            delegation=Delegation(["worker"], ["box"], 5),
            parent="3",
            rotated_from="6",
            created_at=datetime(2026, 11, 23, tzinfo=UTC),
            expires_at=datetime(2100, 1, 2, 3, 4, 5, tzinfo=UTC),
            last_used_at=datetime(2026, 11, 26, 10, tzinfo=UTC),
            revoked_at=None,
        )

    def test_a_record_of_a_server_that_tells_less(self, server: Server, keys: Keys) -> None:
        told = {"id": "k1", "permissions": {"sandbox": ["read"]}, "rateLimitEnabled": False}
        server.answer("/auth/api-key/get", Reply(body={**told, "rateLimitMax": 10}))
        key = keys.get("k1")
        assert (key.scopes, key.rate, key.state) == (("sandbox:read",), None, "")
        assert str(key) == "…"

    @pytest.mark.parametrize(
        "changes",
        [
            {"id": None},
            {"id": 7},
            {"name": ["ci"]},
            {"scopes": [7]},
            {"metadata": [1]},
            {"createdAt": "soon"},
            {"permissions": {"two words": ["read"]}},
            {"rateLimitTimeWindow": 10**30},
            {"rateLimitMax": 0},
            {"enabled": "yes"},
            {"delegation": {"organizationIds": [""]}},
        ],
    )
    def test_what_is_no_key_is_a_bad_answer(
        self, server: Server, keys: Keys, changes: dict[str, Any]
    ) -> None:
        server.answer("/auth/api-key/get", Reply(body=record(**changes)))
        with pytest.raises(BadAnswer, match="no API key that can be read"):
            keys.get("7")

    @pytest.mark.parametrize("body", [None, [], {"apiKeys": {}}, {"apiKeys": ["7"]}])
    def test_what_is_no_list_is_a_bad_answer(self, server: Server, keys: Keys, body: Any) -> None:
        server.answer("/auth/api-key/list", Reply(body=body))
        with pytest.raises(BadAnswer):
            [*keys.list()]

    @pytest.mark.parametrize("secret", [None, 7, "two words"])
    def test_a_key_without_a_secret_is_a_bad_answer(
        self, server: Server, keys: Keys, secret: Any
    ) -> None:
        server.answer("/auth/api-key/create", issued(secret))
        with pytest.raises(BadAnswer, match="no secret of the key 7"):
            keys.mint()

    def test_a_secret_shows_itself_to_who_asks_only(self, server: Server, keys: Keys) -> None:
        server.answer("/auth/api-key/create", issued())
        made = keys.mint()
        assert isinstance(made, IssuedKey)
        assert made.secret.reveal() == SECRET
        assert SECRET not in f"{made!r} {made} {made.secret} {keys!r}"


class TestTryingAgain:
    """One request makes one key, whatever happens to its answers."""

    @pytest.mark.parametrize("trouble", [RESET, IN_USE, LATER, Reply(502, raw=b""), Reply(504)])
    def test_a_request_that_is_not_answered_is_sent_again_with_the_same_id(
        self, server: Server, keys: Keys, trouble: Reply
    ) -> None:
        server.answer("/auth/api-key/create", trouble, trouble, issued())
        assert keys.mint().secret.reveal() == SECRET
        assert len(set(request_ids(server))) == 1
        assert len(server.seen) == 3

    def test_it_waits_as_long_as_the_server_says_within_reason(
        self, server: Server, keys: Keys, pauses: list[float]
    ) -> None:
        replies = [refused(503, "X", **{"Retry-After": text}) for text in ("5", "9999", "soon")]
        server.answer("/auth/api-key/create", *replies, issued())
        keys.mint()
        assert pauses == [5.0, 10.0, 2.0]

    def test_it_gives_up_in_the_end_and_says_that_nobody_knows(
        self, server: Server, keys: Keys
    ) -> None:
        server.answer("/auth/api-key/create", RESET)
        with pytest.raises(Unreachable, match="not known whether a key was made") as caught:
            keys.mint()
        assert len(server.seen) == 4
        assert KEY not in str([caught.value, *caught.value.__notes__])

    def test_a_server_that_stays_busy_is_told_of(self, server: Server, keys: Keys) -> None:
        server.answer("/auth/api-key/create", IN_USE)
        with pytest.raises(KeyRefused) as caught:
            keys.mint()
        assert caught.value.code == "IDEMPOTENCY_KEY_IN_USE"
        server.answer("/auth/api-key/create", Reply(504, raw=b""))
        with pytest.raises(BadAnswer, match="not known whether a key was made"):
            keys.mint()

    @pytest.mark.parametrize("path", ["create", "rotate"])
    def test_a_key_whose_secret_was_lost_gets_another_one(
        self, server: Server, keys: Keys, path: str
    ) -> None:
        server.answer("/auth/api-key/create", RESET, USED)
        replies = [RESET, USED] if path == "rotate" else []
        server.answer("/auth/api-key/rotate", *replies, issued(ANOTHER, id="9", rotatedFrom="8"))
        made = keys.mint() if path == "create" else keys.rotate("7")
        assert (made.key.id, made.secret.reveal()) == ("9", ANOTHER)
        assert sent(server, "rotate")[-1] == {
            "keyId": "8",
            "overlap": None,
            "keepChildren": True,
        }

    def test_or_what_to_do_is_told(self, server: Server, keys: Keys) -> None:
        server.answer("/auth/api-key/create", RESET, USED)
        server.answer("/auth/api-key/rotate", refused(403, "INSUFFICIENT_API_KEY_PERMISSIONS"))
        with pytest.raises(SecretLost) as caught:
            keys.mint()
        assert caught.value.key_id == "8"
        assert str(caught.value) == (
            "Key 8, ci (pka_Ab12Cd34…) of sandbox-runtime, was made, and its secret lost on the "
            "way. Give it another: pikku-auth keys rotate 8 --revoke-now --keep-children --url "
            f"{server.url}"
        )

    def test_a_key_that_has_rotated_itself_away_is_told_of(
        self, server: Server, keys: Keys
    ) -> None:
        server.answer("/auth/api-key/rotate", RESET, refused(401, "UNAUTHORIZED_SESSION"))
        with pytest.raises(SecretLost, match="takes this credential no more") as caught:
            keys.rotate(overlap=None)
        assert caught.value.key_id is None

    def test_what_makes_no_key_is_sent_once(self, server: Server, keys: Keys) -> None:
        server.answer("/auth/api-key/delete", RESET)
        with pytest.raises(Unreachable) as caught:
            keys.revoke("7")
        assert "not known" not in str(caught.value)
        assert len(server.seen) == 1


class TestWhatGoesWrong:
    @pytest.mark.parametrize(
        "act",
        [
            lambda keys: keys.mint(scopes=["sandbox"]),
            lambda keys: keys.mint(lifetime=-1),
            lambda keys: keys.mint(metadata={"two words": 1}),
            lambda keys: keys.mint(metadata={"box": object()}),
            lambda keys: keys.mint(networks="192.0.2.0/24"),
            lambda keys: keys.mint(quota=float("nan")),
            lambda keys: keys.rotate(overlap=timedelta(0)),
            lambda keys: keys.shorten("7", timedelta(days=99_999)),
        ],
    )
    def test_a_value_that_breaks_its_rule_is_not_sent(
        self, server: Server, keys: Keys, act: Callable[[Keys], object]
    ) -> None:
        with pytest.raises(BadValue) as caught:
            act(keys)
        assert isinstance(caught.value, ValueError)
        assert server.seen == []

    @pytest.mark.parametrize(
        ("reply", "kind", "words"),
        [
            (refused(403, "EXCEEDS_PARENT", "Too much."), KeyRefused, "was refused: Too much."),
            (refused(403, "KEY_LIMIT_REACHED", ""), KeyRefused, "refused: KEY_LIMIT_REACHED."),
            (
                refused(403, "USER_NOT_MEMBER_OF_ORGANIZATION"),
                KeyRefused,
                "There is no such service user whose keys you manage.",
            ),
            (
                refused(429, "RATE_LIMITED", "Slow", **{"Retry-After": "30"}),
                KeyRefused,
                "refused: Slow. Try again in 30 s.",
            ),
            (
                refused(
                    403,
                    "INSUFFICIENT_API_KEY_PERMISSIONS",
                    "You do not have permission to perform this action on organization API keys. "
                    "The permission pikku_auth.view_apikey is missing.",
                ),
                NotAllowed,
                "Reading the key was refused: The permission pikku_auth.view_apikey is missing.",
            ),
            (refused(404, "KEY_NOT_FOUND", "None"), KeyNotFound, "None. It may have been revoked."),
            (refused(403, "NETWORK_NOT_ALLOWED"), NotAllowed, "was refused: No."),
            (Reply(404, raw=b""), BadAnswer, "Is --auth-path right?"),
            (Reply(500, raw=b""), BadAnswer, "failed (500)"),
        ],
    )
    def test_a_refusal_is_one_clear_line(
        self, server: Server, keys: Keys, reply: Reply, kind: type[Exception], words: str
    ) -> None:
        server.answer("/auth/api-key/get", reply)
        with pytest.raises(kind) as caught:
            keys.get("7")
        assert str(caught.value).endswith(words) or words in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_refusal_names_the_member(self, server: Server, keys: Keys) -> None:
        body = {"message": "Too much.", "code": "EXCEEDS_PARENT", "field": "expiresIn"}
        server.answer("/auth/api-key/create", Reply(403, body))
        with pytest.raises(KeyRefused) as caught:
            keys.mint()
        assert (caught.value.code, caught.value.field) == ("EXCEEDS_PARENT", "expiresIn")
        assert caught.value.retry_after is None

    def test_a_refusal_says_when_to_come_back(self, server: Server, keys: Keys) -> None:
        server.answer("/auth/api-key/get", refused(429, "RATE_LIMITED", **{"Retry-After": "30"}))
        with pytest.raises(KeyRefused) as caught:
            keys.get("7")
        assert caught.value.retry_after == 30
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # its own
        assert (str(again), again.code) == (str(caught.value), "RATE_LIMITED")

    @pytest.mark.parametrize(
        ("challenge", "hint"),
        [
            ('Bearer error="insufficient_scope", scope="auth:read"', " --scope auth:read"),
            ("Bearer", " --scope auth:mint"),
            (None, "No."),
        ],
    )
    def test_a_login_without_the_scope_is_told_to_log_in_again(
        self, server: Server, store: Store, challenge: str | None, hint: str
    ) -> None:
        headers = {} if challenge is None else {"WWW-Authenticate": challenge}
        store.save(a_login(server.url))
        server.answer(
            "/auth/api-key/create", refused(403, "INSUFFICIENT_API_KEY_PERMISSIONS", **headers)
        )
        with pytest.raises(NotAllowed) as caught:
            Keys(server.url).mint()
        assert str(caught.value).endswith(hint)
        assert ("pikku-auth login" in str(caught.value)) == (challenge is not None)

    def test_a_token_without_the_scope_is_told_what_it_takes(
        self, server: Server, token: str
    ) -> None:
        headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="auth:mint"'}
        server.answer(
            "/auth/api-key/create", refused(403, "INSUFFICIENT_API_KEY_PERMISSIONS", **headers)
        )
        with pytest.raises(NotAllowed, match="Set PIKKU_TOKEN to the token of a login with"):
            Keys(server.url).mint()

    def test_a_key_without_the_scope_is_told_what_it_takes(
        self, server: Server, keys: Keys
    ) -> None:
        headers = {"WWW-Authenticate": 'ApiKey error="insufficient_scope", scope="auth:mint"'}
        server.answer(
            "/auth/api-key/create", refused(403, "INSUFFICIENT_API_KEY_PERMISSIONS", **headers)
        )
        with pytest.raises(NotAllowed, match="It takes a key with the scope auth:mint, or a login"):
            keys.mint()

    @pytest.mark.parametrize(
        ("variable", "words"),
        [
            ("PIKKU_API_KEY", "refuses the key in PIKKU_API_KEY. Set it to a live key."),
            ("PIKKU_TOKEN", "refuses the token in PIKKU_TOKEN. Set it to the token of a live"),
        ],
    )
    def test_a_credential_of_the_environment_that_is_not_good_is_named(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, variable: str, words: str
    ) -> None:
        monkeypatch.setenv(variable, "pka_Dead")
        server.answer("/auth/api-key/get", refused(401, "UNAUTHORIZED", "No"))
        with pytest.raises(NotLoggedIn) as caught:
            Keys(server.url).get("7")
        assert words in str(caught.value)
        assert "pka_Dead" not in str(caught.value)

    def test_a_login_that_is_over_is_told_so(self, server: Server, store: Store) -> None:
        server.answer("/auth/api-key/get", Reply(401, {"message": "Over", "code": "invalid_token"}))
        store.save(a_login(server.url))
        with pytest.raises(NotLoggedIn, match=r"session\.json\. Over\. Run: pikku-auth login"):
            Keys(server.url).get("7")
        store.save(a_login(server.url, expires_at="2026-01-01T00:00:00.000Z"))
        with pytest.raises(LoginExpired):
            Keys(server.url).get("7")

    def test_without_a_credential_nobody_is_asked(self, server: Server) -> None:
        with pytest.raises(NotLoggedIn, match="Run: pikku-auth login"):
            Keys(server.url).mint()
        assert server.seen == []

    @pytest.mark.parametrize("message", [f"No {KEY}\x1b[31m", "x" * 5000])
    def test_what_a_server_says_is_harmless(self, server: Server, keys: Keys, message: str) -> None:
        server.answer("/auth/api-key/get", refused(400, "VALIDATION_ERROR", message))
        with pytest.raises(KeyRefused) as caught:
            keys.get("7")
        assert KEY not in str(caught.value)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500

    def test_a_server_that_is_away_is_told_of(self, key: str) -> None:
        with pytest.raises(Unreachable, match="was refused"):
            Keys(unused_url()).get("7")

    def test_every_error_is_a_client_error(self) -> None:
        for kind in (BadValue, KeyRefused, KeyNotFound, NotAllowed, SecretLost):
            assert issubclass(kind, ClientError)
