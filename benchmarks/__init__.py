"""What authenticating costs, and what limits add: ``docs/performance.md`` has the figures.

``python -m benchmarks.authentication`` and ``python -m benchmarks.limits``, with the extras
``dev`` and ``bench``; on the database that ``DATABASE_URL`` names, in a throw-away one there.
``python -m benchmarks.admin`` opens the pages of the admin with a million keys, on PostgreSQL.
``python -m benchmarks.road`` counts the files and functions that a request passes.
"""

from __future__ import annotations

import os
from datetime import timedelta

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()

from pikku_auth.flows import last_used  # noqa: E402  # it imports models

# Longer than a run, so that a key that was used once is fresh until the end.
last_used.RESOLUTION = timedelta(hours=1)
