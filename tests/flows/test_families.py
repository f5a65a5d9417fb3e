"""Whatever is done to keys and their owners: no key can do more than its parent."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from pikku_auth.core.limits import Rate
from pikku_auth.core.networks import is_allowed
from pikku_auth.core.permissions import intersect, missing, normalise, scope_strings
from pikku_auth.exceptions import (
    ExceedsParent,
    InvalidInput,
    InvalidKey,
    KeyLimitReached,
    KeyNotLive,
    NetworkNotAllowed,
    PikkuAuthError,
)
from pikku_auth.flows import (
    Delegation,
    IssuedKey,
    activate_service_user,
    children_of,
    create_service_user,
    deactivate_service_user,
    delete_key,
    disable_key,
    enable_key,
    mint_child,
    mint_key,
    prune,
    revoke_key,
    rotate_key,
    set_key_bounds,
    set_service_user_scopes,
    shorten_key,
)
from pikku_auth.flows.keys.verify import reverify_key
from pikku_auth.models import APIKey, AuditEvent, KeyState, ServiceUser
from pikku_auth.principal import Principal
from tests.conftest import pikku_settings
from tests.processes import PATIENCE
from tests.profiles import fewer

pytestmark = pytest.mark.django_db

HOURS = st.integers(min_value=1, max_value=48).map(lambda hours: timedelta(hours=hours))
SCOPES = st.lists(st.sampled_from(["sandbox:read", "sandbox:write", "sandbox:*"]), max_size=2)
CEILINGS = st.none() | st.lists(
    st.sampled_from(["sandbox:read", "sandbox:write", "sandbox:*", "auth:*"]), max_size=3
)
NETWORKS = st.lists(st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24"]), max_size=2)
RATES = st.none() | st.builds(Rate, st.integers(1, 9), st.just(60) | st.just(3600))
ADDRESSES = ["10.1.0.1", "10.2.0.1", "192.0.2.1", "203.0.113.1"]
_names = count()


@dataclass(eq=False)
class Owner:
    """What the model knows of a service user."""

    row: ServiceUser
    active: bool = True
    ceiling: list[str] | None = None

    @property
    def user(self) -> Any:
        return self.row.user

    def allows(self, scopes: dict[str, list[str]]) -> dict[str, list[str]]:
        return scopes if self.ceiling is None else intersect(scopes, normalise(self.ceiling))


@dataclass(eq=False)
class Known:
    """What the model knows of a key."""

    issued: IssuedKey
    owner: Owner
    scopes: dict[str, list[str]]
    born: datetime
    ends: datetime
    networks: list[list[str]] = field(default_factory=list)
    parent: Known | None = None
    dead: bool = False
    rotated: bool = False
    enabled: bool = True

    def is_live(self, now: datetime) -> bool:
        own = not self.dead and self.enabled and self.owner.active and now < self.ends
        return own and (self.parent is None or self.parent.is_live(now))

    def allowed(self) -> dict[str, list[str]]:
        own = self.owner.allows(self.scopes)
        return own if self.parent is None else self.parent.owner.allows(own)


class Families(RuleBasedStateMachine):
    """An orchestrator's keys and their children, under a clock that the test winds."""

    parents = Bundle("parents")
    children = Bundle("children")

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        names = [f"{kind}-{next(_names)}" for kind in ("orchestrator", "sandboxes")]
        self.owners = [Owner(create_service_user(name, now=self.now)) for name in names]
        self.delegation = Delegation([names[1]], most=4)
        self.keys: list[Known] = []

    @initialize(target=parents, networks=NETWORKS, rate=RATES)
    def begin(self, networks: list[str], rate: Rate | None) -> Known | None:
        return self.mint(timedelta(hours=40), ["sandbox:*"], networks, rate)

    @initialize(target=children, networks=NETWORKS)
    def begin_with_children(self, networks: list[str]) -> MultipleResults[Known | None]:
        hours = timedelta(hours=30)
        parent = self.keys[0] if self.keys else self.begin(networks, None)
        found = [
            self.mint_child(parent, whose, hours, ["sandbox:read"], networks, None)
            for whose in (0, 1)
        ]
        return multiple(*found)

    @rule(target=parents, lifetime=HOURS, scopes=SCOPES, networks=NETWORKS, rate=RATES)
    def make(
        self, lifetime: timedelta, scopes: list[str], networks: list[str], rate: Rate | None
    ) -> Known | None:
        return self.mint(lifetime, scopes, networks, rate)

    def mint(
        self, lifetime: timedelta, scopes: list[str], networks: list[str], rate: Rate | None
    ) -> Known | None:
        owner = self.owners[0]
        if not owner.active:
            return None
        scopes = ["auth:mint", *scopes]
        issued = mint_key(
            owner.row,
            scopes=scopes,
            lifetime=lifetime,
            networks=networks,
            rate=rate,
            delegation=self.delegation,
            now=self.now,
        )
        return self.learn(issued, owner, scopes, self.now + lifetime, networks)

    @rule(
        target=children,
        parent=parents,
        whose=st.integers(0, 1),
        lifetime=HOURS,
        scopes=SCOPES,
        networks=NETWORKS,
        rate=RATES,
    )
    def make_child(self, **options: Any) -> Known | None:
        return self.mint_child(**options)

    def mint_child(
        self,
        parent: Known | None,
        whose: int,
        lifetime: timedelta,
        scopes: list[str],
        networks: list[str],
        rate: Rate | None,
    ) -> Known | None:
        owner = self.owners[whose]
        if parent is None or not owner.active:
            return None
        principal = self.principal_of(parent)
        try:
            issued = mint_child(
                principal,
                owner.row,
                scopes=scopes,
                lifetime=lifetime,
                networks=networks,
                rate=rate,
                now=self.now,
            )
        except KeyNotLive:
            assert not parent.is_live(self.now)
            return None
        except InvalidInput:  # of several reasons, each has a test of its own
            return None
        assert parent.is_live(self.now)
        ends = self.now + lifetime
        return self.learn(issued, owner, scopes, ends, networks, parent=parent)

    @rule(target=parents, key=parents, overlap=st.none() | HOURS, keep=st.booleans())
    def rotate(self, key: Known | None, overlap: timedelta | None, keep: bool) -> Known | None:
        if key is None or (successor := self.rotated(key, overlap, keep_children=keep)) is None:
            return None
        for child in self.keys:
            if child.parent is key:
                if overlap is None and not keep:
                    child.dead = True
                else:
                    child.parent, child.ends = successor, min(child.ends, successor.ends)
        return successor

    @rule(target=children, key=children, overlap=st.none() | HOURS)
    def rotate_child(self, key: Known | None, overlap: timedelta | None) -> Known | None:
        return None if key is None else self.rotated(key, overlap)

    def rotated(self, key: Known, overlap: timedelta | None, **options: Any) -> Known | None:
        try:
            issued = rotate_key(key.issued.key, overlap=overlap, now=self.now, **options)
        except KeyNotLive:
            assert key.rotated or not key.is_live(self.now)
            return None
        except KeyLimitReached:
            assert key.parent is not None
            return None
        assert key.is_live(self.now)
        ends = self.now + (key.ends - key.born)
        if key.parent is not None:
            ends = min(ends, key.parent.ends)
        key.rotated, key.dead = True, overlap is None
        key.ends = min(key.ends, self.now + (overlap or timedelta(0)))
        scopes, networks = scope_strings(key.scopes), key.networks[0]
        return self.learn(issued, key.owner, scopes, ends, networks, parent=key.parent)

    @rule(key=parents | children)
    def revoke(self, key: Known | None) -> None:
        if key is not None:
            revoke_key(key.issued.key, now=self.now)
            key.dead = True
            for child in self.keys:
                child.dead = child.dead or child.parent is key

    @rule(key=parents | children, enabled=st.booleans())
    def switch(self, key: Known | None, enabled: bool) -> None:
        if key is not None and (enable_key if enabled else disable_key)(key.issued.key):
            key.enabled = enabled

    @rule(key=parents | children, lifetime=HOURS)
    def shorten(self, key: Known | None, lifetime: timedelta) -> None:
        if key is None:
            return
        end = self.now + lifetime
        try:
            changed = shorten_key(key.issued.key, end, now=self.now)
        except InvalidInput:
            return
        if changed:
            key.ends = end
            for child in self.keys:
                if child.parent is key:
                    child.ends = min(child.ends, end)

    @rule(key=parents | children, networks=NETWORKS, rate=RATES)
    def bound(self, key: Known | None, networks: list[str], rate: Rate | None) -> None:
        if key is None:
            return
        try:
            set_key_bounds(key.issued.key, networks=networks, rate=rate, now=self.now)
        except (ExceedsParent, KeyNotLive):
            return
        key.networks[0] = networks

    @rule(whose=st.integers(0, 1), ceiling=CEILINGS)
    def set_ceiling(self, whose: int, ceiling: list[str] | None) -> None:
        owner = self.owners[whose]
        set_service_user_scopes(owner.row, ceiling, now=self.now)
        owner.ceiling = ceiling

    @rule(whose=st.integers(0, 1), active=st.booleans())
    def switch_owner(self, whose: int, active: bool) -> None:
        owner = self.owners[whose]
        owner.user.refresh_from_db()
        (activate_service_user if active else deactivate_service_user)(owner.row, now=self.now)
        owner.active = active and owner.user.is_active

    @rule(whose=st.integers(0, 1), active=st.booleans())
    def switch_user(self, whose: int, active: bool) -> None:
        """As the host does, without a word to us."""
        owner = self.owners[whose]
        owner.user.is_active = active
        owner.user.save()
        owner.row.refresh_from_db()
        owner.active = active and owner.row.is_active

    @rule(hours=HOURS)
    def wait(self, hours: timedelta) -> None:
        self.now += hours

    @rule()
    def prune(self) -> None:
        """What is kept of a dead parent is kept as long as there are children of it."""
        prune(keys_older_than=timedelta(days=999), events_older_than=timedelta(0), now=self.now)

    @invariant()
    def each_can_do_what_the_model_says(self) -> None:
        for key in self.keys:
            for address in ADDRESSES:
                self.check(key, address)

    def check(self, key: Known, address: str) -> None:
        try:
            granted = self.verified(key, address)
        except InvalidKey:
            assert not key.is_live(self.now)
            return
        except NetworkNotAllowed:
            chain = [key, *([] if key.parent is None else [key.parent])]
            assert any(not _is_in(address, known.networks[0]) for known in chain)
            return
        assert key.is_live(self.now)
        assert granted == key.allowed()
        if key.parent is not None:  # within its parent and both ceilings, by the rows themselves
            rows = APIKey.objects.select_related("service_user", "parent__service_user__user")
            row: Any = rows.get(pk=key.issued.key.pk)
            assert row.parent.state(self.now) is KeyState.ACTIVE
            assert not missing(row.parent.allowed, row.allowed_scopes)
            assert row.expires_at <= row.parent.expires_at
            assert row.parent.rate is None or row.rate.is_within(row.parent.rate)

    def verified(self, key: Known, address: str) -> dict[str, list[str]]:
        """What a request with the key may do. No call is counted, or a rate would end it."""
        principal = reverify_key(key.issued.key, ip=address, now=self.now)
        return {name: list(actions) for name, actions in principal.permissions.items()}

    def principal_of(self, key: Known) -> Principal:
        """As it was when its request came in, which may be long ago."""
        row = APIKey.objects.select_related("service_user__user").get(pk=key.issued.key.pk)
        user: Any = row.service_user.user
        return Principal(user=user, via="api_key", permissions=row.allowed, key=row)

    def learn(
        self,
        issued: IssuedKey,
        owner: Owner,
        scopes: list[str],
        ends: datetime,
        networks: list[str],
        parent: Known | None = None,
    ) -> Known:
        known = Known(issued, owner, normalise(scopes), self.now, ends, [networks], parent)
        self.keys.append(known)
        return known


def _is_in(address: str, networks: list[str]) -> bool:
    return not networks or is_allowed(address, networks)


@pytest.mark.hypothesis
def test_no_key_can_do_more_than_its_parent_whatever_is_done() -> None:
    chosen = fewer(50, stateful_step_count=20, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Families, settings=chosen)


@pytest.fixture
def orchestrator() -> ServiceUser:
    return create_service_user("orchestrator")


@pytest.fixture
def sandboxes() -> ServiceUser:
    return create_service_user("sandbox-runtime")


def parent_of(
    orchestrator: ServiceUser, sandboxes: ServiceUser, most: int = 1000, **options: Any
) -> APIKey:
    delegation = Delegation([sandboxes.name], most=most)
    scopes = ["auth:mint", "sandbox:*"]
    return mint_key(orchestrator, scopes=scopes, delegation=delegation, **options).key


def principal(key: APIKey) -> Principal:
    row = APIKey.objects.select_related("service_user__user").get(pk=key.pk)
    user: Any = row.service_user.user
    return Principal(user=user, via="api_key", permissions=row.allowed, key=row)


def make(parent: APIKey, sandboxes: ServiceUser, **options: Any) -> APIKey:
    return mint_child(principal(parent), sandboxes, scopes=["sandbox:read"], **options).key


class TestWhatFollows:
    """What the model does not look at."""

    def test_thousands_follow_in_one_statement(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes, most=5000)
        child = make(parent, sandboxes)
        APIKey.objects.bulk_create(
            APIKey(
                service_user=sandboxes,
                parent=parent,
                preview=f"pka_{number}",
                digest=f"{number:064}",
                created_at=child.created_at,
            )
            for number in range(3000)
        )
        for act in (disable_key, enable_key, revoke_key):
            with CaptureQueriesContext(connection) as asked:
                act(parent)
            updates = [query for query in asked if query["sql"].startswith("UPDATE")]
            assert len(updates) == 2
            assert len(asked) < 10
        assert not APIKey.objects.filter(revoked_at=None).exists()
        event = AuditEvent.objects.filter(action="key_revoked").get()
        assert event.details["children"] == 3001

    def test_a_child_says_why_it_has_ended(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        child = make(parent, sandboxes)
        revoke_key(parent, reason="found in a log")
        child.refresh_from_db()
        assert child.revoke_reason == f"with its parent {parent.preview}…"

    @pytest.mark.parametrize(
        ("how", "told"),
        [
            ({}, {"children_kept": 1}),
            ({"overlap": None}, {"children": 1}),
            ({"overlap": None, "keep_children": True}, {"children_kept": 1}),
        ],
    )
    def test_the_record_of_a_rotation_says_what_has_become_of_them(
        self,
        orchestrator: ServiceUser,
        sandboxes: ServiceUser,
        how: dict[str, Any],
        told: dict[str, int],
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        make(parent, sandboxes)
        rotate_key(parent, **how)
        details = AuditEvent.objects.get(action="key_rotated").details
        assert {name: details[name] for name in details if "children" in name} == told

    def test_a_child_that_was_disabled_itself_stays_so(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        child = make(parent, sandboxes)
        for act in (disable_key, enable_key):
            act(child) if act is disable_key else None
            act(parent)
        child.refresh_from_db()
        assert (child.enabled, child.is_suspended) == (False, False)

    def test_the_user_of_the_orchestrator_is_deleted(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        child = make(parent_of(orchestrator, sandboxes), sandboxes)
        user: Any = orchestrator.user
        user.delete()
        child.refresh_from_db()
        assert child.is_suspended

    def test_a_ceiling_of_the_orchestrator_is_lowered(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        child = make(parent_of(orchestrator, sandboxes), sandboxes)
        for ceiling, allowed in ((["auth:mint"], []), (None, ["sandbox:read"])):
            set_service_user_scopes(orchestrator, ceiling)
            child.refresh_from_db()
            assert child.allowed_scopes == allowed

    def test_the_networks_of_the_parent_are_narrowed(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes, networks=["10.0.0.0/8"])
        child = make(parent, sandboxes, networks=["10.1.0.0/16"])
        for networks, refused in ((["10.2.0.0/16"], True), (["10.1.2.0/24"], False)):
            set_key_bounds(parent, networks=networks)
            try:
                reverify_key(child, ip="10.1.2.3", now=datetime.now(UTC))
            except NetworkNotAllowed:
                assert refused
            else:
                assert not refused

    def test_the_parent_ends_earlier(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        child, end = make(parent, sandboxes), datetime.now(UTC) + timedelta(hours=1)
        shorten_key(parent, end)
        child.refresh_from_db()
        assert child.expires_at == end

    def test_an_end_is_brought_forward_once(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        key, now = parent_of(orchestrator, sandboxes), datetime.now(UTC)
        end = now + timedelta(hours=1)
        assert shorten_key(key, end)
        assert not shorten_key(key, end)
        with pytest.raises(InvalidInput, match="in the future"):
            shorten_key(key, now)

    def test_a_delegation_is_one(self, orchestrator: ServiceUser) -> None:
        wrong: Any = {"most": 1}
        with pytest.raises(InvalidInput, match="Give a Delegation"):
            mint_key(orchestrator, scopes=["auth:mint"], delegation=wrong)

    def test_the_successor_of_the_parent_ends_earlier(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes, lifetime=None)
        child = make(parent, sandboxes, lifetime=None)
        with pikku_settings(MAX_KEY_LIFETIME=timedelta(days=1)):
            successor = rotate_key(parent).key
        child.refresh_from_db()
        assert (child.parent, child.expires_at) == (successor, successor.expires_at)

    def test_the_successor_of_a_child_ends_with_its_parent(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes, lifetime=timedelta(hours=9))
        child = make(parent, sandboxes)
        later = child.created_at + timedelta(hours=5)
        assert rotate_key(child, now=later).key.expires_at == parent.expires_at

    def test_a_quota_and_its_refill(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes, quota=100, refill=Rate(100, 60))
        limited = make(parent, sandboxes, quota=10, refill=Rate(10, 60))
        set_key_bounds(parent, quota=5, refill=Rate(5, 3600))
        limited.refresh_from_db()
        assert (limited.remaining, limited.refill) == (5, Rate(5, 3600))
        set_key_bounds(parent, refill=None)
        limited.refresh_from_db()
        assert (limited.remaining, limited.refill) == (5, None)

    def test_a_limit_where_there_was_none(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        child = make(parent, sandboxes)
        set_key_bounds(parent, quota=5, rate=Rate(5, 60))
        child.refresh_from_db()
        assert (child.remaining, child.rate) == (5, Rate(5, 60))

    def test_a_parent_is_kept_while_its_children_are(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        child = make(parent, sandboxes)
        revoke_key(parent)
        with pytest.raises(InvalidInput, match="has minted others"):
            delete_key(parent)
        delete_key(child)
        delete_key(parent)

    def test_both_are_pruned_in_one_run(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        make(parent, sandboxes)
        revoke_key(parent)
        day = timedelta(days=1)
        later = datetime.now(UTC) + day
        pruned = prune(keys_older_than=timedelta(0), events_older_than=day, now=later)
        assert pruned.keys == 2

    def test_only_a_key_has_children(self, make_user: Any, sandboxes: ServiceUser) -> None:
        human = Principal(user=make_user(), via="login", permissions={})
        with pytest.raises(TypeError):
            mint_child(human, sandboxes)

    @pytest.mark.parametrize("scopes", [["*"], ["auth:rotate", "sandbox:read"]])
    def test_only_a_key_that_may_mint_has_children(
        self, orchestrator: ServiceUser, scopes: list[str]
    ) -> None:
        """By the scopes of a key we know whether it has children, who follow it."""
        key = mint_key(orchestrator, scopes=scopes).key
        with pytest.raises(ExceedsParent, match="Only a key with the scope auth:mint makes keys"):
            mint_child(principal(key), orchestrator)
        assert APIKey.objects.get() == key

    def test_those_of_a_key_are_listed(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        first, second, dead = (make(parent, sandboxes) for _ in range(3))
        revoke_key(dead)
        assert [*children_of(parent)] == [first, second]


def together(*acts: Callable[[], object]) -> Counter[str]:
    """Run them at once; count results and refusals by their class."""
    everyone = threading.Barrier(len(acts), timeout=PATIENCE)

    def run(act: Callable[[], object]) -> str:
        everyone.wait()
        try:
            return type(_until_no_deadlock(act)).__name__
        except PikkuAuthError as error:
            return type(error).__name__
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return Counter(pool.map(run, acts))


def _until_no_deadlock(act: Callable[[], object]) -> object:
    """MariaDB undoes one of two that wait for each other, and says: try again."""
    while True:
        try:
            return act()
        except OperationalError as error:
            if "Deadlock" not in str(error):
                raise


ENDS: dict[str, Callable[[APIKey], object]] = {
    "revoked": revoke_key,
    "disabled": disable_key,
    "rotated at once": lambda key: rotate_key(key, overlap=None),
    "of a service user that is deactivated": lambda key: deactivate_service_user(
        ServiceUser.objects.get(pk=key.service_user_id)
    ),
}


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Races that a live child of a dead parent could come out of."""

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    @pytest.mark.parametrize("attempt", range(4))
    def test_no_child_outlives_a_parent_that_ends_while_it_is_made(
        self,
        orchestrator: ServiceUser,
        sandboxes: ServiceUser,
        end: Callable[[APIKey], object],
        attempt: int,
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        caller = principal(parent)
        mints = [lambda: mint_child(caller, sandboxes)] * 4
        together(*mints[:2], lambda: end(parent), *mints[2:])
        states = {row.state(datetime.now(UTC)) for row in self.children(parent)}
        assert KeyState.ACTIVE not in states

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    @pytest.mark.parametrize("attempt", range(4))
    def test_nor_while_it_is_rotated(
        self,
        orchestrator: ServiceUser,
        sandboxes: ServiceUser,
        end: Callable[[APIKey], object],
        attempt: int,
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        children = [make(parent, sandboxes) for _ in range(3)]
        rotations = [lambda child=child: rotate_key(child) for child in children]
        together(*rotations, lambda: end(parent))
        states = {row.state(datetime.now(UTC)) for row in self.children(parent)}
        assert KeyState.ACTIVE not in states

    @pytest.mark.parametrize("attempt", range(4))
    def test_none_is_made_beyond_a_ceiling_that_is_lowered(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser, attempt: int
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        caller = principal(parent)
        mints = [lambda: mint_child(caller, sandboxes, scopes=["sandbox:write"])] * 4
        together(*mints, lambda: set_service_user_scopes(orchestrator, ["auth:mint"]))
        assert {tuple(row.allowed_scopes) for row in self.children(parent)} <= {()}

    def test_no_more_are_made_than_a_key_may_have(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser
    ) -> None:
        parent = parent_of(orchestrator, sandboxes, most=5)
        caller = principal(parent)
        counted = together(*[lambda: mint_child(caller, sandboxes)] * 12)
        assert counted == {"IssuedKey": 5, "KeyLimitReached": 7}

    @pytest.mark.parametrize("attempt", range(4))
    def test_a_child_that_is_rotated_with_its_parent_belongs_to_the_successor(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser, attempt: int
    ) -> None:
        parent = parent_of(orchestrator, sandboxes)
        child = make(parent, sandboxes)
        together(lambda: rotate_key(parent), lambda: rotate_key(child))
        successor = APIKey.objects.get(rotated_from=parent)
        assert {row.parent_id for row in self.children(parent)} == {successor.pk}

    @pytest.mark.parametrize("attempt", range(4))
    def test_bounds_that_are_widened_while_those_of_the_parent_are_narrowed(
        self, orchestrator: ServiceUser, sandboxes: ServiceUser, attempt: int
    ) -> None:
        parent = parent_of(orchestrator, sandboxes, rate=Rate(100, 60))
        child = make(parent, sandboxes, rate=Rate(1, 60))
        together(
            lambda: set_key_bounds(child, rate=Rate(90, 60)),
            lambda: set_key_bounds(parent, rate=Rate(10, 60)),
        )
        child.refresh_from_db()
        assert child.rate is not None
        assert child.rate.is_within(Rate(10, timedelta(seconds=60)))

    def children(self, parent: APIKey) -> list[APIKey]:
        rows = APIKey.objects.select_related("service_user__user")
        return list(rows.filter(service_user__name="sandbox-runtime"))
