"""What hosts cache, copy and send to other processes: callers, their users, and our exceptions."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import SimpleNamespace
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.http import HttpRequest
from django.test import RequestFactory, TestCase

import pikku_auth
from pikku_auth.core.frozen import FrozenDict
from pikku_auth.exceptions import InvalidInput, InvalidKey, LimitExceeded, Refused
from pikku_auth.flows import IssuedKey, authenticate
from pikku_auth.http.caller import admit
from pikku_auth.principal import Mapped, Principal, bound_of
from pikku_auth.testing import key_headers, mint_test_key
from pikku_auth.views.http import ImmediateResponse
from tests.conftest import pikku_settings
from tests.logins import bearer, logged_in

Copy = Callable[[Any], Any]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  # our own


def cached(value: Any) -> Any:
    cache.set("caller", value)
    return cache.get("caller")


WAYS = pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled, cached])


def with_claims(*_: object) -> Mapped:
    return Mapped(claims={"ids": [1]})


def caller_of(request: HttpRequest) -> Principal:
    principal = authenticate(request)
    assert principal
    return principal


@pytest.fixture(params=["machine", "superuser"])
def principal(request: pytest.FixtureRequest, make_user: Callable[..., Any]) -> Principal:
    """A machine with one of Django's permissions, and a superuser whose login has one."""
    scope = "perm:people.view_person"
    if request.param == "machine":
        headers = key_headers(mint_test_key([scope]))
    else:
        headers = bearer(logged_in(make_user("root", is_superuser=True), scope=scope))
    return caller_of(RequestFactory().get("/", headers=headers))


@pytest.mark.django_db
@WAYS
def test_copy_of_a_caller_is_bounded_as_the_original(principal: Principal, copied: Copy) -> None:
    again = copied(principal)
    assert (again.scopes, str(again), again.user) == (
        principal.scopes,
        str(principal),
        principal.user,
    )
    for user in (again.user, copied(principal.user)):
        assert bound_of(user) == {"perm": ("people.view_person",)}
        assert not user.has_perm("people.delete_person")
        assert not user.has_module_perms("other")
        assert not async_to_sync(user.ahas_perm)("people.delete_person")
        assert user.has_perm("people.view_person") == principal.user.has_perm("people.view_person")


@pytest.mark.django_db
@WAYS
def test_copy_of_permissions_is_read_only(principal: Principal, copied: Copy) -> None:
    again = copied(principal).permissions
    assert again == principal.permissions
    with pytest.raises(TypeError, match="read-only"):
        again["perm"] = ("*",)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.update(a=2), lambda one: one.pop("a"), lambda one: one.popitem(),
        lambda one: one.clear(), lambda one: one.setdefault("b", 2), lambda one: one.__ior__({}),
        lambda one: one.__delitem__("a"), lambda one: one.__setitem__("a", 2),
    ],
)  # fmt: skip
def test_frozen_dict_can_not_be_changed(change: Callable[[Any], object]) -> None:
    frozen = FrozenDict({"a": 1})
    with pytest.raises(TypeError, match="read-only"):
        change(frozen)
    assert frozen == {"a": 1}
    assert copy.copy(frozen) is frozen


@pytest.mark.django_db
@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_claims_of_a_copy_are_its_own(copied: Copy) -> None:
    with pikku_settings(MAP_KEY="tests.test_copies.with_claims"):
        principal = caller_of(RequestFactory().get("/", headers=key_headers(mint_test_key())))
    again = copied(principal)
    again.claims["ids"].append(2)
    assert principal.claims == {"ids": [1]}


@pytest.mark.django_db
@pytest.mark.parametrize("copied", [copy.copy, pickled])
def test_copy_of_a_request_has_the_same_caller(principal: Principal, copied: Copy) -> None:
    request = HttpRequest()
    admit(request, principal)
    again = copied(request)
    assert again.principal == principal
    assert again.user == principal.user
    assert bound_of(again.user) == bound_of(principal.user)


class TestKeptInSetUpTestData(TestCase):
    issued: IssuedKey

    @classmethod
    def setUpTestData(cls) -> None:
        cls.issued = mint_test_key(["sandbox:read"])

    def test_key_is_good_in_each_test(self) -> None:
        answer = self.client.get("/auth/whoami", headers=key_headers(self.issued))
        assert answer.status_code == 200


NEVER_LEAVE = (ImmediateResponse,)
"""They end a view from within, and carry its response."""
ABSTRACT = {Refused}


def errors_of_ours() -> Iterator[type[Exception]]:
    for module in pkgutil.walk_packages(pikku_auth.__path__, "pikku_auth."):
        if module.name.endswith("__main__"):
            continue
        try:
            imported = importlib.import_module(module.name)
        except ModuleNotFoundError:  # it needs a package that is optional
            continue
        for found in vars(imported).values():
            if inspect.isclass(found) and issubclass(found, Exception):
                found_here = found.__module__ == module.name
                yield from [found] if found_here and not issubclass(found, NEVER_LEAVE) else []


SAMPLES: dict[str, Any] = {
    "most": 3, "retry_after": 3, "status": 400,
    "missing": ["a:b"], "scopes": ["a:b"], "nearest": ["robot"],
    "error": ValueError("x"), "refusal": InvalidKey("revoked"),
    "response": SimpleNamespace(status_code=401, body=b'{"detail": "no"}'),
}  # fmt: skip


def an(error_class: Any) -> Exception:
    parameters = inspect.signature(error_class.__init__).parameters.values()
    named = [
        one.name
        for one in parameters
        if one.name != "self" and one.kind == one.POSITIONAL_OR_KEYWORD
    ]
    error: Exception = error_class(*(SAMPLES.get(name, "text") for name in named))
    return error


@pytest.mark.parametrize(
    "error_class",
    sorted({*errors_of_ours()} - ABSTRACT, key=lambda one: one.__name__),
    ids=lambda one: one.__name__,
)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_copy_of_an_exception_says_the_same(error_class: type[Exception], copied: Copy) -> None:
    error = an(error_class)
    error.add_note("seen on the way")
    again = copied(error)
    assert type(again) is error_class
    assert str(again) == str(error)
    assert {name: str(value) for name, value in vars(again).items()} == {
        name: str(value) for name, value in vars(error).items()
    }


def refuse(how: str) -> None:
    raise {"input": InvalidInput("name", "bad"), "limit": LimitExceeded("rate_limited", 3)}[how]


def test_exceptions_come_back_from_a_pool_of_processes() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=django.setup) as pool:
        with pytest.raises(InvalidInput, match="bad") as refused:
            pool.submit(refuse, "input").result()
        assert refused.value.field == "name"
        with pytest.raises(LimitExceeded) as limited:
            pool.submit(refuse, "limit").result()
        assert (limited.value.reason, limited.value.retry_after) == ("rate_limited", 3)
