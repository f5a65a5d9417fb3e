"""A host's own admin site, as docs/admin.md has it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.contrib.admin import AdminSite

from pikku_auth.admin import ServiceUserAdmin
from pikku_auth.models import ServiceUser

_DOCS = Path(__file__).parent.parent.parent / "docs" / "admin.md"


def _site_of_the_docs() -> AdminSite:
    (example,) = re.findall(r"```python\n(.*?)```", _DOCS.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102  # the documentation's example is the thing under test
    site: AdminSite = names["operations"]
    return site


operations = _site_of_the_docs()
machines = AdminSite(name="machines")
machines.register(ServiceUser, ServiceUserAdmin)
