"""Whatever is done to keys in whatever order, exactly the live ones are accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from pikku_auth.core.durations import LONGEST
from pikku_auth.core.permissions import missing
from pikku_auth.exceptions import InvalidKey, KeyNotLive
from pikku_auth.flows import (
    IssuedKey,
    activate_service_user,
    create_service_user,
    deactivate_service_user,
    disable_key,
    enable_key,
    mint_key,
    prune,
    revoke_key,
    rotate_key,
    verify_key,
)
from pikku_auth.models import APIKey, AuditEvent, ServiceUser
from tests.profiles import fewer

pytestmark = pytest.mark.django_db

HOURS = st.integers(min_value=1, max_value=72).map(lambda hours: timedelta(hours=hours))
SCOPES = st.lists(st.sampled_from(["sandbox:read", "sandbox:write", "sandbox:*"]), max_size=2)
_names = count()


@dataclass(eq=False)
class Known:
    """What the model knows of a key."""

    issued: IssuedKey
    scopes: list[str]
    ends: datetime
    lifetime: timedelta
    dead: bool = False
    rotated: bool = False
    enabled: bool = True
    gone: bool = False


@dataclass
class Owner:
    """What the model knows of the service user."""

    row: ServiceUser
    active: bool = True
    keys: list[Known] = field(default_factory=list)


class LifeCycle(RuleBasedStateMachine):
    """A service user and its keys, under a clock that the test winds."""

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.owner = Owner(create_service_user(f"machine-{next(_names)}", now=self.now))
        self.acts = 1

    def is_live(self, key: Known) -> bool:
        alive = not key.dead and key.enabled and self.owner.active
        return alive and self.now < key.ends

    @rule(target=known, lifetime=HOURS, scopes=SCOPES)
    def mint(self, lifetime: timedelta, scopes: list[str]) -> Known | None:
        if not self.owner.active:
            return None
        issued = mint_key(self.owner.row, scopes=scopes, lifetime=lifetime, now=self.now)
        return self.learn(Known(issued, scopes, self.now + lifetime, lifetime))

    @rule(target=known, key=known, overlap=st.none() | HOURS)
    def rotate(self, key: Known | None, overlap: timedelta | None) -> Known | None:
        if key is None or key.gone:
            return None
        if not self.is_live(key) or key.rotated:
            with pytest.raises(KeyNotLive):
                rotate_key(key.issued.key, overlap=overlap, now=self.now)
            return None
        issued = rotate_key(key.issued.key, overlap=overlap, now=self.now)
        key.rotated, key.dead = True, overlap is None
        key.ends = min(key.ends, self.now + (overlap or timedelta(0)))
        self.acts += 1 if overlap else 2
        return self.learn(Known(issued, key.scopes, self.now + key.lifetime, key.lifetime))

    def learn(self, key: Known) -> Known:
        self.owner.keys.append(key)
        self.acts += 1
        return key

    @rule(key=known)
    def revoke(self, key: Known | None) -> None:
        if key is not None and not key.gone:
            assert revoke_key(key.issued.key, now=self.now) is not key.dead
            self.acts += not key.dead
            key.dead = True

    @rule(key=known, enabled=st.booleans())
    def switch(self, key: Known | None, enabled: bool) -> None:
        if key is not None and not key.gone:
            changed = (enable_key if enabled else disable_key)(key.issued.key, now=self.now)
            assert changed is (not key.dead and key.enabled is not enabled)
            key.enabled = enabled if changed else key.enabled
            self.acts += changed

    @rule(active=st.booleans())
    def switch_owner(self, active: bool) -> None:
        verb = activate_service_user if active else deactivate_service_user
        assert verb(self.owner.row, now=self.now) is (active is not self.owner.active)
        self.acts += active is not self.owner.active
        self.owner.active = active

    @rule(duration=HOURS)
    def wait(self, duration: timedelta) -> None:
        self.now += duration

    @rule()
    def forget(self) -> None:
        prune(keys_older_than=timedelta(days=2), events_older_than=LONGEST, now=self.now)
        kept = set(APIKey.objects.values_list("pk", flat=True))
        for key in self.owner.keys:
            key.gone = key.issued.key.pk not in kept
            assert not (key.gone and self.is_live(key))

    @invariant()
    def exactly_the_live_keys_are_accepted(self) -> None:
        for key in self.owner.keys:
            secret = key.issued.secret.reveal()
            if self.is_live(key):
                principal = verify_key(secret, now=self.now)
                assert principal.service_user == self.owner.row
                assert not missing(principal.permissions, key.scopes)
            else:
                with pytest.raises(InvalidKey):
                    verify_key(secret, now=self.now)

    @invariant()
    def every_act_has_an_audit_event(self) -> None:
        assert AuditEvent.objects.filter(service_user=self.owner.row).count() == self.acts

    @invariant()
    def nothing_is_left_of_a_secret(self) -> None:
        rows = str(list(APIKey.objects.filter(service_user=self.owner.row).values()))
        assert not [key for key in self.owner.keys if key.issued.secret.reveal() in rows]


@pytest.mark.hypothesis
def test_exactly_the_live_keys_are_accepted_whatever_is_done() -> None:
    chosen = fewer(30, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(LifeCycle, settings=chosen)


def test_the_rules_themselves_come_to_every_verb() -> None:
    day = timedelta(days=1)
    machine = LifeCycle()
    key = machine.mint(lifetime=day, scopes=["sandbox:read"])
    machine.exactly_the_live_keys_are_accepted()
    successor = machine.rotate(key=key, overlap=None)
    for dead in (key, None):
        assert machine.rotate(key=dead, overlap=day) is None
        machine.revoke(key=dead)
        machine.switch(key=dead, enabled=False)
    machine.switch(key=successor, enabled=False)
    machine.revoke(key=machine.rotate(key=machine.mint(lifetime=day, scopes=[]), overlap=day))
    machine.switch_owner(active=False)
    assert machine.mint(lifetime=day, scopes=[]) is None
    machine.wait(duration=10 * day)
    machine.forget()
    machine.exactly_the_live_keys_are_accepted()
    machine.every_act_has_an_audit_event()
    machine.nothing_is_left_of_a_secret()
    assert all(known.gone for known in machine.owner.keys)
