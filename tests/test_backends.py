"""A service user never logs in, and a key bounds what its caller may do in Django."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth import authenticate, get_user_model, login
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import AnonymousUser, Permission
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.test import Client, RequestFactory, override_settings
from rest_framework.permissions import DjangoModelPermissions

from example_project.sandboxes.models import Sandbox
from example_project.sandboxes.views import Sandboxes
from pikku_auth.backends import ServiceUserBackend
from pikku_auth.flows import IssuedKey, verify_key
from pikku_auth.models import ServiceUser
from pikku_auth.testing import client_with_key, mint_test_key

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
PASSWORD = "correct-horse"


def with_password(service_user: ServiceUser) -> Any:
    user: Any = service_user.user
    user.set_password(PASSWORD)
    user.save()
    return user


def made_staff(service_user: ServiceUser) -> Any:
    user = with_password(service_user)
    user.is_staff = user.is_superuser = True
    user.save()
    return user


class TestLogin:
    """Whatever password somebody sets for it."""

    def test_a_service_user_has_no_password(self, service_user: ServiceUser) -> None:
        user: Any = service_user.user
        assert not user.has_usable_password()
        assert not user.is_staff
        assert not user.is_superuser

    def test_a_person_logs_in(self, make_user: Callable[..., Any]) -> None:
        person = make_user("ada", PASSWORD)
        assert authenticate(None, username=person.get_username(), password=PASSWORD) == person

    def test_a_service_user_does_not_even_with_the_right_password(
        self, service_user: ServiceUser
    ) -> None:
        user = with_password(service_user)
        assert authenticate(None, username=user.get_username(), password=PASSWORD) is None

    def test_the_name_field_of_the_user_model_does_as_well(self, service_user: ServiceUser) -> None:
        user = with_password(service_user)
        credentials = {get_user_model().USERNAME_FIELD: user.get_username(), "password": PASSWORD}
        assert authenticate(None, **credentials) is None

    def test_the_admin_does_not_let_it_in(self, client: Client, service_user: ServiceUser) -> None:
        user = made_staff(service_user)
        form = {"username": user.get_username(), "password": PASSWORD}
        response = client.post("/admin/login/?next=/admin/", form)
        assert response.status_code == 200
        assert b"Please enter the correct" in response.content
        assert "sessionid" not in client.cookies

    def test_changepassword_does_not_help(
        self, service_user: ServiceUser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user: Any = service_user.user
        monkeypatch.setattr("getpass.getpass", lambda *args, **kwargs: PASSWORD)
        call_command("changepassword", user.get_username(), stdout=StringIO())
        assert authenticate(None, username=user.get_username(), password=PASSWORD) is None

    def test_a_reset_mail_is_not_sent_before_and_does_not_help_after(
        self, service_user: ServiceUser
    ) -> None:
        user: Any = service_user.user
        user.email = "machine@example.com"
        user.save()

        def reset() -> None:
            form = PasswordResetForm({"email": "machine@example.com"})
            assert form.is_valid()
            with override_settings(ROOT_URLCONF="django.contrib.auth.urls"):
                form.save(domain_override="example.com")

        reset()
        assert mail.outbox == []
        with_password(service_user)
        assert authenticate(None, username=user.get_username(), password=PASSWORD) is None

    @pytest.mark.parametrize("who", ["nobody", "a person", "a service user"])
    def test_each_refusal_hashes_one_password(
        self, make_user: Callable[..., Any], service_user: ServiceUser, who: str
    ) -> None:
        names = {
            "nobody": "nobody@example.com",
            "a person": make_user("ada").get_username(),
            "a service user": with_password(service_user).get_username(),
        }
        with mock.patch.object(
            MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode
        ) as hashing:
            assert authenticate(None, username=names[who], password="wrong") is None
        assert hashing.call_count == 1

    @pytest.mark.parametrize("credentials", [{"token": "x"}, {"username": "ada"}, {}])
    def test_credentials_of_other_kinds_are_left_to_others(
        self, credentials: dict[str, str]
    ) -> None:
        assert ServiceUserBackend().authenticate(None, **credentials) is None

    def test_another_backend_that_lets_it_in_is_overruled(self, service_user: ServiceUser) -> None:
        request = RequestFactory().post("/")
        request.session = SessionStore()
        request.user = AnonymousUser()
        with pytest.raises(PermissionDenied):
            login(request, service_user.user, "django.contrib.auth.backends.ModelBackend")
        assert not Session.objects.exists()

    def test_the_backend_itself_knows_nobody(self, make_user: Callable[..., Any]) -> None:
        assert ServiceUserBackend().get_user(make_user().pk) is None


PERM = "sandboxes.view_sandbox"


@pytest.fixture
def granted(service_user: ServiceUser) -> None:
    """The owner has the Django permissions ``view_sandbox`` and ``add_sandbox``."""
    user: Any = service_user.user
    codenames = ["view_sandbox", "add_sandbox"]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))


class TestDjangoPermissions:
    """``has_perm`` is the owner's right and the key's scope."""

    @pytest.mark.parametrize(
        ("scopes", "expected"),
        [
            ([], False),
            (["sandbox:read"], False),
            (["perm:sandboxes.add_sandbox"], False),
            ([f"perm:{PERM}"], True),
            (["perm:*"], True),
            (["*"], True),
        ],
    )
    def test_a_right_of_the_owner_needs_the_scope(
        self, mint: Mint, granted: None, scopes: list[str], expected: bool
    ) -> None:
        user = verify_key(mint(permissions=scopes).secret.reveal()).user
        assert user.has_perm(PERM) is expected
        assert asyncio.run(user.ahas_perm(PERM)) is expected if expected is False else True

    @pytest.mark.parametrize("scopes", [[f"perm:{PERM}"], ["perm:*"], ["*"]])
    def test_a_scope_gives_no_right_that_the_owner_lacks(
        self, mint: Mint, scopes: list[str]
    ) -> None:
        user = verify_key(mint(permissions=scopes).secret.reveal()).user
        assert not user.has_perm(PERM)

    def test_a_right_taken_from_the_owner_is_gone_at_once(
        self, mint: Mint, granted: None, service_user: ServiceUser
    ) -> None:
        secret = mint(permissions=["*"]).secret.reveal()
        assert verify_key(secret).user.has_perm(PERM)
        owner: Any = service_user.user
        owner.user_permissions.clear()
        assert not verify_key(secret).user.has_perm(PERM)

    @pytest.mark.parametrize(
        ("scopes", "expected"),
        [
            ([], False),
            (["perm:auth.view_user"], False),
            ([f"perm:{PERM}"], True),
            (["perm:*"], True),
            (["*"], True),
        ],
    )
    def test_a_module_needs_a_scope_in_it(
        self, mint: Mint, granted: None, scopes: list[str], expected: bool
    ) -> None:
        user = verify_key(mint(permissions=scopes).secret.reveal()).user
        assert user.has_module_perms("sandboxes") is expected

    def test_a_permission_of_any_spelling_is_bounded(self, mint: Mint) -> None:
        user = verify_key(mint(permissions=["perm:*"]).secret.reveal()).user
        assert not user.has_perm("an odd one: §!")

    def test_callers_without_a_key_are_not_bounded(
        self, service_user: ServiceUser, granted: None
    ) -> None:
        user = get_user_model()._default_manager.get(pk=service_user.user.pk)
        assert user.has_perm(PERM)
        assert user.has_module_perms("sandboxes")
        assert not AnonymousUser().has_perm(PERM)

    def test_it_holds_in_async_code(self) -> None:
        backend, user = ServiceUserBackend(), get_user_model()()

        async def ask() -> tuple[bool, bool]:
            return (
                await backend.ahas_perm(user, PERM),
                await backend.ahas_module_perms(user, "sandboxes"),
            )

        assert asyncio.run(ask()) == (False, False)

    @pytest.mark.parametrize(("scopes", "status"), [([], 403), ([f"perm:{PERM}"], 200)])
    def test_drfs_own_model_permissions_respect_the_key(
        self, scopes: list[str], status: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Strict(DjangoModelPermissions):
            perms_map = {**DjangoModelPermissions.perms_map, "GET": [PERM]}

        monkeypatch.setattr(Sandboxes, "permission_classes", [Strict])
        client = client_with_key(scopes, service="sandbox-runtime")
        owner: Any = ServiceUser.objects.get().user
        owner.user_permissions.set(Permission.objects.filter(codename="view_sandbox"))
        assert client.get("/api/sandboxes/").status_code == status
        assert Sandbox.objects.count() == 0


def test_a_superuser_is_not_bounded_so_its_keys_are_dead() -> None:
    issued = mint_test_key(["*"])
    made_staff(issued.key.service_user)
    from pikku_auth.exceptions import InvalidKey

    with pytest.raises(InvalidKey):
        verify_key(issued.secret.reveal())
