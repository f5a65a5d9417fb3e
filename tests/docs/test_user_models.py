"""The functions of docs/user-models.md, each with a user model that it is for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pikku_auth.models import ServiceUser
from tests.docs.pages import ROOT, examples, run, text_of

MODELS = """
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AbstractUser, UserManager as DjangoUserManager
from django.db import models
"""
BY_EMAIL = """
class UserManager(DjangoUserManager):
    def create_user(self, email, password=None, **extra):
        user = self.model(email=self.normalize_email(email), **extra)
        user.password = make_password(password)
        user.save(using=self._db)
        return user

class User(AbstractUser):
    name = models.CharField(max_length=255, blank=True)
    first_name = last_name = username = None
    email = models.EmailField(unique=True)
    objects = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []
"""
BY_BOTH = """
class User(AbstractUser):
    email = models.EmailField(unique=True)
    REQUIRED_FIELDS = ["email"]
"""
WITH_MORE = BY_EMAIL.replace("    name =", "    full_name =").replace(", blank=True", "")
HOST = """
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    SECRET_KEY="of-a-throw-away-project",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "pikku_auth", "users"],
    MIGRATION_MODULES=dict.fromkeys(["auth", "contenttypes", "pikku_auth"]),
    AUTH_USER_MODEL="users.User",
    AUTHENTICATION_BACKENDS=["pikku_auth.backends.ServiceUserBackend"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    PIKKU_AUTH=SETTING,
    USE_TZ=True,
)
django.setup()
call_command("migrate", run_syncdb=True, verbosity=0)

from pikku_auth.flows import create_service_user, mint_key, verify_key

user = create_service_user("builder").user
print(user.email, user.has_usable_password(), user.is_staff)
print(verify_key(mint_key("builder").secret.reveal()).user == user)
"""


def told_by(folder: Path, model: str, hook: str = "") -> str:
    """What the host says in a process of its own: a user model can't be changed in one."""
    (folder / "users").mkdir()
    (folder / "users" / "models.py").write_text(MODELS + model)
    (folder / "users" / "machines.py").write_text(hook)
    setting = run(examples("user-models.md")[0], {})["PIKKU_AUTH"] if hook else {}
    (folder / "host.py").write_text(HOST.replace("SETTING", repr(setting)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "host.py"], env={"PYTHONPATH": str(ROOT)},
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("place", [1, 2, 3])
def test_each_function_makes_the_user_of_the_model_that_it_is_for(
    place: int, tmp_path: Path
) -> None:
    hook = examples("user-models.md")[place]
    model = {1: BY_EMAIL, 2: BY_BOTH, 3: WITH_MORE}[place]
    assert told_by(tmp_path, model, hook) == "builder@machines.invalid False False\nTrue\n"


def test_without_one_the_error_names_the_page(tmp_path: Path) -> None:
    told = told_by(tmp_path, BY_EMAIL)
    assert "InvalidInput: User can't be made from the name 'builder' alone" in told
    assert "docs/user-models.md has functions to copy" in told
    assert "Enter a valid email address" in told


def test_the_setting_names_the_function_and_where_to_copy_it() -> None:
    page = text_of("user-models.md")
    path = run(examples("user-models.md")[0], {})["PIKKU_AUTH"]["SERVICE_USER_FACTORY"]
    module, _, function = path.rpartition(".")
    assert f"`{module.replace('.', '/')}.py`" in page
    assert all(f"def {function}(name)" in hook for hook in examples("user-models.md")[1:4])


@pytest.mark.django_db
def test_a_backend_without_a_password_refuses_machines(
    service_user: ServiceUser, make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders = {"1": service_user.user, "2": make_user()}

    class Rows:
        """The table of telephone numbers."""

        @staticmethod
        def filter(number: str, code: str) -> Any:
            found = holders.get(number) if code == "42" else None
            row = None if found is None else SimpleNamespace(user=found)
            return SimpleNamespace(first=lambda: row)

    phone = SimpleNamespace(objects=Rows)
    users = {"users": SimpleNamespace(), "users.models": SimpleNamespace(Phone=phone)}
    for name, module in users.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    backend = run(examples("user-models.md")[-1], {})["PhoneBackend"]()
    assert backend.authenticate(None, phone="1", code="42") is None
    assert backend.authenticate(None, phone="2", code="42") == holders["2"]
    assert backend.authenticate(None, phone="2", code="1") is None
    assert backend.authenticate(None) is None
