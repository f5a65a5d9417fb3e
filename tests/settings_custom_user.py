"""A host with a user model of its own: a UUID for a key, no username, more required fields."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, PIKKU_AUTH

INSTALLED_APPS = [*INSTALLED_APPS, "tests.people"]
AUTH_USER_MODEL = "people.Person"
PIKKU_AUTH = {**PIKKU_AUTH, "SERVICE_USER_FACTORY": "tests.people.models.create_machine"}
