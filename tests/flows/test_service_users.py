"""Making, adopting, stopping and finding service users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.db.models import ProtectedError
from django.db.models.signals import post_save
from django.forms import modelform_factory
from pytest_django import Settings

from pikku_auth.checks.privileges import check_privileges
from pikku_auth.exceptions import InvalidInput, InvalidKey, UnknownServiceUser
from pikku_auth.flows import (
    IssuedKey,
    activate_service_user,
    create_service_user,
    deactivate_service_user,
    delete_service_user,
    describe_service_user,
    get_service_user,
    mint_key,
    service_users,
    verify_key,
)
from pikku_auth.flows.accounts import create_user, is_service_user
from pikku_auth.models import APIKey, AuditEvent, ServiceUser

pytestmark = pytest.mark.django_db


def make_machine(name: str) -> Any:
    """What a host may set as ``SERVICE_USER_FACTORY``."""
    return get_user_model()._default_manager.create_user(f"{name}@host.example.com")


def users() -> int:
    return get_user_model()._default_manager.count()


def test_a_service_user_has_a_django_user_that_is_no_staff_and_has_no_password() -> None:
    user: Any = create_service_user("builder", description="Builds images.").user
    assert user.is_active
    assert not user.has_usable_password()
    assert not user.is_staff
    assert not user.is_superuser


def test_a_service_user_says_its_name_and_what_it_does() -> None:
    create_service_user("builder", description="Builds images.")
    builder = ServiceUser.objects.get()
    assert (str(builder), builder.description, builder.is_active) == (
        "builder",
        "Builds images.",
        True,
    )


@pytest.mark.parametrize("name", ["a", "0", "sandbox-runtime", "a_b-c", "a" * 100])
def test_a_name_is_lower_case_letters_digits_and_dashes(name: str) -> None:
    assert create_service_user(name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", "_a", "Builder", "a b", "a.b", "a/b", "bücher", "a\n", "a\0", "a" * 101],
)
def test_any_other_name_is_refused_and_nothing_is_made(name: str) -> None:
    with pytest.raises(InvalidInput, match="for example sandbox-runtime") as refusal:
        create_service_user(name)
    assert refusal.value.field == "name"
    assert users() == 0


@pytest.mark.parametrize("description", ["x" * 501, "two\nlines", "nul\0"])
def test_a_description_has_at_most_500_printable_characters(description: str) -> None:
    create_service_user("builder", description="x" * 500)
    with pytest.raises(InvalidInput) as refusal:
        create_service_user("painter", description=description)
    assert refusal.value.field == "description"


def test_the_name_of_another_service_user_is_taken(service_user: ServiceUser) -> None:
    with pytest.raises(InvalidInput, match="'sandbox-runtime' is taken") as refusal:
        create_service_user("sandbox-runtime")
    assert refusal.value.field == "name"
    assert users() == 1


def test_the_name_of_another_user_is_taken(service_user: ServiceUser) -> None:
    service_user.delete()
    # What a host's own factory makes of the name is not known, so neither is what is taken.
    by_name = get_user_model().USERNAME_FIELD == "username"
    expected = pytest.raises(InvalidInput, match="or adopt that user")
    with expected if by_name else pytest.raises(IntegrityError):
        create_service_user("sandbox-runtime")
    assert not ServiceUser.objects.exists()


def test_the_name_of_a_human_is_taken(
    make_user: Callable[..., Any],
) -> None:
    make_user("builder")
    if get_user_model().USERNAME_FIELD == "email":
        pytest.skip("here the name is no column of the user's")
    with pytest.raises(InvalidInput, match="'builder' is taken"):
        create_service_user("builder")


class TestOtherErrorsOfTheDatabase:
    """Only a taken name is called so."""

    @pytest.fixture
    def _failing_receiver(self) -> Iterator[None]:
        """A host's, which gives each new user a row that the database refuses."""

        def give_profile(**_: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO django_content_type (model) VALUES (NULL)")

        post_save.connect(give_profile, sender=get_user_model())
        yield
        post_save.disconnect(give_profile, sender=get_user_model())

    @pytest.mark.usefixtures("_failing_receiver")
    def test_one_surfaces_and_says_where_to_look(self) -> None:
        with pytest.raises(IntegrityError) as error:
            create_service_user("builder")
        assert "The name 'builder' is free" in error.value.__notes__[0]
        assert users() == 0

    @pytest.mark.usefixtures("_failing_receiver")
    def test_the_command_says_so_too(self) -> None:
        with pytest.raises(CommandError, match="The database refused the change") as error:
            call_command("create_service_user", "builder")
        assert "SERVICE_USER_FACTORY" in str(error.value)
        assert "Is it running" not in str(error.value)

    def test_a_user_that_another_process_adopts_meanwhile_is_named(
        self, make_user: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ada = make_user("ada")
        create_service_user("builder", user=ada)
        monkeypatch.setattr(service_users, "adopted", lambda user: user)
        with pytest.raises(InvalidInput, match="belongs to a service user already"):
            create_service_user("painter", user=ada)


def test_the_host_may_make_the_user_itself(settings: Settings) -> None:
    settings.PIKKU_AUTH = {"SERVICE_USER_FACTORY": f"{__name__}.make_machine"}
    user: Any = create_service_user("builder").user
    assert user.get_username() == "builder@host.example.com"


def test_a_user_model_that_wants_more_than_a_name_says_what_to_set() -> None:
    with pytest.raises(InvalidInput, match="SERVICE_USER_FACTORY") as refusal:
        create_user("n" * 300)
    assert refusal.value.field == "user"
    assert users() == 0


def test_an_adopted_user_loses_its_password_and_its_sessions(
    make_user: Callable[..., Any],
) -> None:
    ada = make_user("ada", password="correct-horse")
    before = ada.get_session_auth_hash()
    service_user = create_service_user("builder", user=ada)
    ada.refresh_from_db()
    assert service_user.user == ada
    assert users() == 1
    assert not ada.has_usable_password()
    assert ada.get_session_auth_hash() != before
    assert authenticate(username=ada.get_username(), password="correct-horse") is None


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
def test_staff_and_superusers_are_not_adopted(make_user: Callable[..., Any], right: str) -> None:
    ada = make_user("ada", **{right: True})
    with pytest.raises(InvalidInput, match="take those rights away first") as refusal:
        create_service_user("builder", user=ada)
    ada.refresh_from_db()
    assert refusal.value.field == "user"
    assert ada.has_usable_password()
    assert not ServiceUser.objects.exists()


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
class TestPrivileges:
    """A service user's Django user is neither staff nor a superuser."""

    def test_its_keys_are_refused_with_a_reason_of_their_own(
        self, service_user: ServiceUser, mint: Callable[..., IssuedKey], right: str
    ) -> None:
        secret = mint().secret.reveal()
        promote(service_user, right)
        with pytest.raises(InvalidKey) as refusal:
            verify_key(secret)
        assert refusal.value.reason == "owner_privileged"
        promote(service_user, right, value=False)
        assert verify_key(secret).service_user == service_user

    def test_it_is_not_activated(self, service_user: ServiceUser, right: str) -> None:
        deactivate_service_user(service_user)
        promote(service_user, right)
        with pytest.raises(InvalidInput, match="take those rights away first"):
            activate_service_user(ServiceUser.objects.get())
        assert not ServiceUser.objects.get().is_active

    def test_an_old_object_does_not_hide_it_from_activation(
        self, service_user: ServiceUser, right: str
    ) -> None:
        deactivate_service_user(service_user)
        old = ServiceUser.objects.select_related("user").get()
        promote(service_user, right)
        with pytest.raises(InvalidInput, match="take those rights away first"):
            activate_service_user(old)
        promote(service_user, right, value=False)
        assert activate_service_user(old)

    def test_an_old_object_does_not_hide_it_from_adoption(
        self, make_user: Callable[..., Any], right: str
    ) -> None:
        old = make_user("ada")
        get_user_model()._default_manager.filter(pk=old.pk).update(**{right: True})
        with pytest.raises(InvalidInput, match="take those rights away first"):
            create_service_user("ada-bot", user=old)
        assert not ServiceUser.objects.exists()

    def test_the_hosts_function_makes_none(self, settings: Settings, right: str) -> None:
        settings.PIKKU_AUTH = {"SERVICE_USER_FACTORY": f"{__name__}.make_{right}"}
        with pytest.raises(InvalidInput, match="staff or a superuser"):
            create_service_user("builder")
        assert users() == 0

    def test_no_form_of_the_hosts_saves_one_and_it_says_why(
        self, service_user: ServiceUser, right: str
    ) -> None:
        form = form_of(right)({right: "on"}, instance=service_user.user)
        assert not form.is_valid()
        assert "a machine must be neither staff nor a superuser" in str(form.errors)
        assert right in str(form.errors)
        user: Any = get_user_model()._default_manager.get()
        assert not getattr(user, right)

    def test_a_form_lets_people_be_staff(self, make_user: Callable[..., Any], right: str) -> None:
        assert form_of(right)({right: "on"}, instance=make_user("ada")).is_valid()

    def test_a_check_lists_those_that_exist(self, service_user: ServiceUser, right: str) -> None:
        assert check_privileges(databases=["default"]) == []
        promote(service_user, right)
        (message,) = check_privileges(databases=["default"])
        assert (message.id, "'sandbox-runtime'" in message.msg) == ("pikku_auth.W014", True)
        assert check_privileges() == [], "it asks the database only where that is wanted"


def promote(service_user: ServiceUser, right: str, *, value: bool = True) -> None:
    users = get_user_model()._default_manager.filter(pk=service_user.user_id)
    users.update(**{right: value})


def form_of(right: str) -> Any:
    return modelform_factory(get_user_model(), fields=[right])


def make_is_staff(name: str) -> Any:
    return get_user_model()._default_manager.create_user(f"{name}@example.com", is_staff=True)


def make_is_superuser(name: str) -> Any:
    return get_user_model()._default_manager.create_user(f"{name}@example.com", is_superuser=True)


def test_a_user_is_adopted_once(service_user: ServiceUser) -> None:
    with pytest.raises(InvalidInput, match="belongs to a service user already") as refusal:
        create_service_user("builder", user=service_user.user)
    assert refusal.value.field == "user"
    assert ServiceUser.objects.get() == service_user


def test_a_user_whose_adoption_fails_keeps_its_password(
    service_user: ServiceUser, make_user: Callable[..., Any]
) -> None:
    ada = make_user("ada")
    with pytest.raises(InvalidInput):
        create_service_user("sandbox-runtime", user=ada)
    ada.refresh_from_db()
    assert ada.has_usable_password()


def test_only_the_user_of_a_machine_is_one(
    service_user: ServiceUser, make_user: Callable[..., Any]
) -> None:
    assert is_service_user(service_user.user)
    assert not is_service_user(make_user("ada"))


def test_deactivating_stops_every_key_and_activating_lets_them_work_again(
    service_user: ServiceUser, mint: Callable[..., IssuedKey]
) -> None:
    secrets = [mint().secret.reveal() for _ in range(2)]
    assert deactivate_service_user(service_user)
    for secret in secrets:
        with pytest.raises(InvalidKey):
            verify_key(secret)
    assert activate_service_user(service_user)
    assert [verify_key(secret).service_user for secret in secrets] == [service_user] * 2


def test_switching_twice_is_no_error(service_user: ServiceUser) -> None:
    assert not activate_service_user(service_user)
    assert deactivate_service_user(service_user)
    assert not deactivate_service_user(service_user)
    assert not service_user.is_active


def test_switching_goes_by_the_row_and_not_by_a_stale_instance(service_user: ServiceUser) -> None:
    stale = ServiceUser.objects.get()
    deactivate_service_user(service_user)
    assert not deactivate_service_user(stale)
    assert not stale.is_active


def test_a_service_user_is_found_by_its_name(service_user: ServiceUser) -> None:
    assert get_service_user("sandbox-runtime") == service_user


@pytest.mark.parametrize("name", ["Sandbox-Runtime", "sandbox-runtime ", "sandböx-runtime", "a\0"])
def test_a_name_is_exact_on_every_database(service_user: ServiceUser, name: str) -> None:
    with pytest.raises(UnknownServiceUser):
        get_service_user(name)


def test_an_unknown_name_comes_with_the_nearest(service_user: ServiceUser) -> None:
    create_service_user("builder")
    with pytest.raises(UnknownServiceUser, match="Did you mean sandbox-runtime") as refusal:
        get_service_user("sandbox-runtme")
    assert refusal.value.nearest == ["sandbox-runtime"]
    assert refusal.value.field == "service_user"


def test_a_name_like_no_other_comes_alone(service_user: ServiceUser) -> None:
    with pytest.raises(UnknownServiceUser) as refusal:
        get_service_user("xyz")
    assert str(refusal.value) == "There is no service user 'xyz'."


def test_deleting_the_django_user_kills_the_keys_and_keeps_the_rows(
    service_user: ServiceUser, mint: Callable[..., IssuedKey]
) -> None:
    issued = mint()
    user: Any = service_user.user
    user.delete()
    with pytest.raises(InvalidKey):
        verify_key(issued.secret.reveal())
    assert APIKey.objects.get(pk=issued.key.pk).service_user == service_user


def test_a_service_user_without_its_django_user_gets_no_more_keys(
    service_user: ServiceUser,
) -> None:
    user: Any = service_user.user
    user.delete()
    with pytest.raises(InvalidInput, match="inactive"):
        mint_key("sandbox-runtime")


def test_a_service_user_with_keys_cannot_be_deleted(
    service_user: ServiceUser, mint: Callable[..., IssuedKey]
) -> None:
    mint()
    with pytest.raises(ProtectedError):
        service_user.delete()


def test_what_one_is_for_can_be_said_later(service_user: ServiceUser) -> None:
    assert describe_service_user(service_user, "Runs sandboxes")
    assert not describe_service_user(service_user, "Runs sandboxes")
    assert (service_user.description, ServiceUser.objects.get().description) == (
        "Runs sandboxes",
        "Runs sandboxes",
    )
    assert AuditEvent.objects.filter(action="service_user_described").count() == 1


def test_not_in_more_than_500_printable_characters(service_user: ServiceUser) -> None:
    with pytest.raises(InvalidInput, match=r"at most 500|can't be seen"):
        describe_service_user(service_user, "two\nlines")


def test_one_without_keys_can_be_deleted(service_user: ServiceUser) -> None:
    delete_service_user(service_user)
    assert not ServiceUser.objects.exists()
    user: Any = get_user_model()._default_manager.get(pk=service_user.user_id)
    assert (user.is_active, user.has_usable_password()) == (False, False)
    assert AuditEvent.objects.get(action="service_user_deleted").subject == "sandbox-runtime"


def test_one_whose_user_is_gone_can_be_deleted_too(service_user: ServiceUser) -> None:
    get_user_model()._default_manager.get(pk=service_user.user_id).delete()
    service_user.refresh_from_db()
    delete_service_user(service_user)
    assert not ServiceUser.objects.exists()


def test_one_with_keys_can_only_be_deactivated(
    service_user: ServiceUser, mint: Callable[..., Any]
) -> None:
    mint()
    with pytest.raises(InvalidInput, match="has keys, which are its history: deactivate it"):
        delete_service_user(service_user)
    assert get_user_model()._default_manager.get(pk=service_user.user_id).is_active
    assert not AuditEvent.objects.filter(action="service_user_deleted").exists()
