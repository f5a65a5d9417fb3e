"""User models that hosts have, none of them as Django's own."""

from __future__ import annotations

HEAD = """
import uuid
from contextlib import suppress

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import AbstractUser, PermissionsMixin
from django.db import models
from django.utils.translation import gettext_lazy as _


class Manager(BaseUserManager):
    def make(self, name, password):
        user = self.model(**{self.model.USERNAME_FIELD: name})
        for right in ("is_staff", "is_superuser"):
            with suppress(AttributeError):  # who has no rights to give
                setattr(user, right, True)
        if "password" in {field.name for field in self.model._meta.fields}:
            user.set_password(password)
        user.save()
        return user
"""

BARE = """
class User(AbstractBaseUser):
    # Nothing but a name and a password: no e-mail address, no rights, no last_login.
    handle = models.CharField(max_length=80, unique=True)
    last_login = None
    objects = Manager()
    USERNAME_FIELD = "handle"

    @property
    def is_staff(self):
        return self.handle == "ada"

    def has_perm(self, perm, obj=None):
        return True

    def has_perms(self, perms, obj=None):
        return True

    def has_module_perms(self, app_label):
        return True
"""

WITHOUT_PASSWORD = """
class User(AbstractUser):
    # Everybody comes by single sign-on.
    password = None
    email = None
    objects = Manager()
    REQUIRED_FIELDS = []
"""

OTHER_TYPES = """
def settings_of_nobody():
    return {}


class User(PermissionsMixin, AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    username = models.TextField(unique=True)
    email = models.JSONField(default=dict)
    last_login = models.DateField(null=True, blank=True)
    date_joined = models.DateField(auto_now_add=True)
    is_active = models.IntegerField(default=1)
    is_staff = models.IntegerField(default=0)
    preferences = models.JSONField(default=settings_of_nobody)
    tags = models.JSONField(default=list)
    language = models.CharField(max_length=5, default="")
    objects = Manager()
    USERNAME_FIELD = "username"

    def get_full_name(self):
        return _("somebody")
"""

RENAMED = """
class User(PermissionsMixin, AbstractBaseUser):
    # What we read is there under other names, and can't be written.
    nick = models.CharField(max_length=80, unique=True, db_column="SELECT")
    active = models.BooleanField(default=True)
    role = models.CharField(max_length=9, default="user")
    seen = models.DateTimeField(null=True, blank=True)
    last_login = None
    objects = Manager()
    USERNAME_FIELD = "nick"
    EMAIL_FIELD = "mail"

    @property
    def is_active(self):
        return self.active

    @property
    def is_staff(self):
        return self.role == "admin"

    @is_staff.setter
    def is_staff(self, value):
        self.role = "admin" if value else "user"

    def get_full_name(self):
        return None
"""

ODD_KEYS = """
class User(AbstractUser):
    # Numbers are for machines.
    username = models.CharField(max_length=80, primary_key=True)
    objects = Manager()
    REQUIRED_FIELDS = []

    def __str__(self):
        return ""
"""

INHERITED = """
class Person(models.Model):
    nick = models.CharField(max_length=80, unique=True)
    is_active = models.BooleanField(default=True)


class User(Person, PermissionsMixin, AbstractBaseUser):
    # Half of a row is in another table.
    is_staff = models.BooleanField(default=False)
    objects = Manager()
    USERNAME_FIELD = "nick"
"""

NUMBERED = """
class User(AbstractUser):
    # A number is a name: no machine can be called so.
    username = None
    phone = models.BigIntegerField(unique=True)
    objects = Manager()
    USERNAME_FIELD = "phone"
    REQUIRED_FIELDS = []

    def __str__(self):
        return str(self.phone)
"""

MODELS = {
    "bare": BARE,
    "without a password": WITHOUT_PASSWORD,
    "other types": OTHER_TYPES,
    "renamed": RENAMED,
    "odd keys": ODD_KEYS,
    "inherited": INHERITED,
    "numbered": NUMBERED,
}
NAMES = {"odd keys": "ada/../?#&%2F \"<b>'", "numbered": "4915112345678"}
"""What a human is called, if it isn't ``ada``."""
