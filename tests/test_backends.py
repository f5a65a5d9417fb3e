"""A service user never logs in, and a key bounds what its caller may do in Django."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate, authenticate, get_user, get_user_model, login
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.forms import AdminPasswordChangeForm, PasswordResetForm
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.contrib.auth.models import AnonymousUser, Permission
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.core.serializers import deserialize, serialize
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from pytest_django import Settings
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.test import APIRequestFactory

from example_project.sandboxes.models import Sandbox
from example_project.sandboxes.views import Sandboxes
from pikku_auth.backends import ServiceUserBackend
from pikku_auth.flows import IssuedKey, create_service_user, verify_key
from pikku_auth.models import ServiceUser, SocketTicket
from pikku_auth.testing import client_with_key, mint_test_key
from tests.conftest import pikku_settings
from tests.docs.pages import text_of
from tests.logins import BACKEND as MODEL_BACKEND

pytestmark = pytest.mark.django_db

Mint = Callable[..., IssuedKey]
PASSWORD = "correct-horse"


def changed(service_user: ServiceUser, **values: Any) -> Any:
    """The Django user after an UPDATE that no signal tells of."""
    user: Any = service_user.user
    get_user_model()._default_manager.filter(pk=user.pk).update(**values)
    user.refresh_from_db()
    return user


def with_password(service_user: ServiceUser) -> Any:
    return changed(service_user, password=make_password(PASSWORD))


def made_staff(service_user: ServiceUser) -> Any:
    return changed(service_user, password=make_password(PASSWORD), is_staff=True, is_superuser=True)


class ByColumn(ModelBackend):
    """A host's backend that finds people by whatever column the credentials name."""

    def authenticate(self, request: Any, password: str | None = None, **credentials: str) -> Any:
        user = WithoutPassword().authenticate(request, **credentials)
        return user if user and password and user.check_password(password) else None


class ByEmail(ByColumn):
    """One that calls an address a username."""

    def authenticate(self, request: Any, username: str = "", password: str | None = None) -> Any:
        return super().authenticate(request, password, email=username)


class WithoutPassword(ModelBackend):
    """One that asks for no password, such as a link in a mail or another site's word."""

    def authenticate(self, request: Any, **credentials: str) -> Any:
        wanted = {f"{name}__iexact": value for name, value in credentials.items()}
        return get_user_model()._default_manager.filter(**wanted).first()


BACKEND = "pikku_auth.backends.ServiceUserBackend"


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

    @pytest.mark.parametrize("sent", [{}, {"request": None}, {"request": HttpRequest()}])
    def test_package_that_signs_in_without_a_session_is_overruled_too(
        self, service_user: ServiceUser, sent: dict[str, Any]
    ) -> None:
        with pytest.raises(PermissionDenied):
            user_logged_in.send(type(service_user.user), user=service_user.user, **sent)

    @pytest.mark.parametrize("sent", [{}, {"request": None}, {"request": HttpRequest()}])
    def test_person_may_be_signed_in_without_a_session(
        self, make_user: Callable[..., Any], sent: dict[str, Any]
    ) -> None:
        ada = make_user("ada")
        user_logged_in.send(type(ada), user=ada, **sent)
        user_logged_out.send(type(ada), user=ada, **sent)

    @pytest.mark.parametrize("other", ["ByColumn", "WithoutPassword"])
    @pytest.mark.parametrize("name", ["email", "username", "first_name"])
    def test_a_service_user_is_returned_by_no_later_backend(
        self, service_user: ServiceUser, other: str, name: str
    ) -> None:
        """Whatever column of its row the credentials name, and in whatever case."""
        if not hasattr(get_user_model(), name):
            pytest.skip("this user model has no such column")
        if name == "username":
            value = service_user.user.get_username()  # type: ignore[union-attr]
            with_password(service_user)
        else:
            value = "Machine@example.com"
            changed(service_user, **{name: value}, password=make_password(PASSWORD))
        credentials = {name: value}
        if other == "ByColumn":
            credentials["password"] = PASSWORD
        with override_settings(AUTHENTICATION_BACKENDS=[BACKEND, f"{__name__}.{other}"]):
            assert authenticate(None, **credentials) is None
            assert async_to_sync(aauthenticate)(None, **credentials) is None
            credentials[name] = value.upper()
            assert authenticate(None, **credentials) is None

    def test_a_person_who_shares_a_machines_address_signs_in(
        self, service_user: ServiceUser, make_user: Callable[..., Any]
    ) -> None:
        if get_user_model().USERNAME_FIELD == "email":
            pytest.skip("here an address has one owner")
        changed(service_user, email="ops@example.com")
        person = make_user("ada", PASSWORD, email="ops@example.com")
        get_user_model()._default_manager.filter(pk=person.pk).update(last_name="x")
        with override_settings(AUTHENTICATION_BACKENDS=[BACKEND, f"{__name__}.ByColumn"]):
            found = authenticate(None, email="ops@example.com", last_name="x", password=PASSWORD)
        assert found == person

    def test_a_proof_is_never_looked_up(
        self, service_user: ServiceUser, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(0):
            ServiceUserBackend().authenticate(None, api_token="sandbox-runtime", otp="123456")

    def test_no_token_is_handed_out_for_a_machines_address(self, service_user: ServiceUser) -> None:
        changed(service_user, email="machine@example.com", password=make_password(PASSWORD))
        sent = {"username": "machine@example.com", "password": PASSWORD}
        request = APIRequestFactory().post("/token/", sent)
        with override_settings(AUTHENTICATION_BACKENDS=[BACKEND, f"{__name__}.ByEmail"]):
            response = obtain_auth_token(request)
        assert response.status_code == 400
        assert not Token.objects.exists()


class TestPasswords:
    """A service user's row keeps none, whoever sets one."""

    def test_one_that_is_set_is_not_saved(
        self, service_user: ServiceUser, caplog: pytest.LogCaptureFixture
    ) -> None:
        user: Any = service_user.user
        user.set_password(PASSWORD)
        user.save()
        user.refresh_from_db()
        assert not user.has_usable_password()
        assert "is not kept" in caplog.text

    @pytest.mark.parametrize("fields", [None, ["password"]])
    def test_nor_is_a_hash(self, service_user: ServiceUser, fields: list[str] | None) -> None:
        user: Any = service_user.user
        user.password = make_password(PASSWORD)
        user.save(update_fields=fields)
        user.refresh_from_db()
        assert not user.has_usable_password()

    def test_nor_is_one_that_the_admin_sets(
        self, service_user: ServiceUser, admin_client: Client
    ) -> None:
        user: Any = service_user.user
        form = AdminPasswordChangeForm(user, {"password1": PASSWORD, "password2": PASSWORD})
        assert form.is_valid()
        form.save()
        user.refresh_from_db()
        assert not user.has_usable_password()

    def test_nor_is_that_of_a_fixture(self, service_user: ServiceUser) -> None:
        user: Any = service_user.user
        user.password = make_password(PASSWORD)
        fixture = serialize("json", [user])
        for loaded in deserialize("json", fixture):
            loaded.save()
        user.refresh_from_db()
        assert not user.has_usable_password()

    def test_nor_is_one_that_the_hosts_factory_sets(self) -> None:
        with pikku_settings(SERVICE_USER_FACTORY=f"{__name__}.machine_with_password"):
            user: Any = create_service_user("builder").user
        user.refresh_from_db()
        assert not user.has_usable_password()

    def test_a_person_keeps_theirs(self, make_user: Callable[..., Any]) -> None:
        person = make_user("ada", PASSWORD)
        person.set_password("another")
        person.save()
        person.refresh_from_db()
        assert person.check_password("another")

    def test_saving_other_columns_asks_nothing(
        self, make_user: Callable[..., Any], django_assert_num_queries: Any
    ) -> None:
        person = make_user("ada", PASSWORD)
        with django_assert_num_queries(1):
            person.save(update_fields=["last_login"])


def machine_with_password(name: str) -> Any:
    """What a host may set as ``SERVICE_USER_FACTORY``."""
    return get_user_model()._default_manager.create_user(f"{name}@example.com", password=PASSWORD)


class TestTheHostsOwnTests:
    """Django's test client signs people in, without naming a backend."""

    def test_force_login_signs_in(self, make_user: Callable[..., Any]) -> None:
        client, person = Client(), make_user("root", is_staff=True, is_superuser=True)
        client.force_login(person)
        assert client.get("/admin/").status_code == 200

    def test_pytest_djangos_admin_client_is_signed_in(self, admin_client: Client) -> None:
        assert admin_client.get("/admin/").status_code == 200

    def test_logging_in_by_password_signs_in(self, make_user: Callable[..., Any]) -> None:
        client, person = Client(), make_user("root", PASSWORD, is_staff=True, is_superuser=True)
        assert client.login(username=person.get_username(), password=PASSWORD)
        assert client.get("/admin/").status_code == 200


class TestDjangosLogin:
    """A host that signs a person in by ``login()``, without a form."""

    @pytest.fixture(autouse=True)
    def _backends_of_the_readme(self, settings: Settings) -> None:
        settings.AUTHENTICATION_BACKENDS = [BACKEND, MODEL_BACKEND]

    @pytest.fixture
    def visit(self) -> Any:
        request: Any = RequestFactory().post("/")
        request.session, request.user = SessionStore(), AnonymousUser()
        return request

    def test_user_that_was_authenticated_needs_no_backend(
        self, visit: Any, make_user: Callable[..., Any]
    ) -> None:
        name = make_user("ada", PASSWORD).get_username()
        user: Any = authenticate(visit, username=name, password=PASSWORD)
        login(visit, user)
        assert get_user(visit) == user

    def test_other_user_needs_the_backend_that_the_docs_name(
        self, visit: Any, make_user: Callable[..., Any]
    ) -> None:
        user = make_user("ada")
        with pytest.raises(ValueError, match="must provide the `backend`"):
            login(visit, user)
        assert f'add `backend="{MODEL_BACKEND}"`' in text_of("django.md")
        login(visit, user, backend=MODEL_BACKEND)
        assert get_user(visit) == user


@pytest.mark.django_db(transaction=True)
class TestWithoutOurTables:
    """As before ``migrate``, or in a tenant's schema that has none of ours."""

    @pytest.fixture(autouse=True)
    def _no_tables(self) -> Iterator[None]:
        names = [model._meta.db_table for model in (ServiceUser, SocketTicket)]
        with connection.schema_editor() as editor:
            for name in names:
                editor.alter_db_table(ServiceUser, name, f"away_{name}")
        yield
        with connection.schema_editor() as editor:
            for name in names:
                editor.alter_db_table(ServiceUser, f"away_{name}", name)

    @pytest.mark.parametrize("in_transaction", [False, True])
    def test_people_sign_in_and_out(
        self, make_user: Callable[..., Any], in_transaction: bool
    ) -> None:
        client, person = Client(), make_user("root", PASSWORD, is_staff=True, is_superuser=True)
        with transaction.atomic() if in_transaction else nullcontext():
            for _ in range(2):  # the second time there is a session to leave
                sent = {"username": person.get_username(), "password": PASSWORD}
                client.post("/admin/login/?next=/admin/", sent)
                assert client.get("/admin/password_change/").status_code == 200
            assert client.post("/admin/logout/").status_code == 200

    def test_a_person_changes_their_password(self, make_user: Callable[..., Any]) -> None:
        person = make_user("ada", PASSWORD)
        with transaction.atomic():
            person.set_password("another")
            person.save()
        assert authenticate(None, username=person.get_username(), password="another") == person

    def test_another_error_of_the_database_is_not_hidden(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ServiceUser._meta, "db_table", get_user_model()._meta.db_table)
        with pytest.raises((OperationalError, ProgrammingError)):
            authenticate(None, username="ada", password=PASSWORD)


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
        user = verify_key(mint(scopes=scopes).secret.reveal()).user
        assert user.has_perm(PERM) is expected
        assert asyncio.run(user.ahas_perm(PERM)) is expected if expected is False else True

    @pytest.mark.parametrize("scopes", [[f"perm:{PERM}"], ["perm:*"], ["*"]])
    def test_a_scope_gives_no_right_that_the_owner_lacks(
        self, mint: Mint, scopes: list[str]
    ) -> None:
        user = verify_key(mint(scopes=scopes).secret.reveal()).user
        assert not user.has_perm(PERM)

    def test_a_right_taken_from_the_owner_is_gone_at_once(
        self, mint: Mint, granted: None, service_user: ServiceUser
    ) -> None:
        secret = mint(scopes=["*"]).secret.reveal()
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
        user = verify_key(mint(scopes=scopes).secret.reveal()).user
        assert user.has_module_perms("sandboxes") is expected

    def test_a_permission_of_any_spelling_is_bounded(self, mint: Mint) -> None:
        user = verify_key(mint(scopes=["perm:*"]).secret.reveal()).user
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
