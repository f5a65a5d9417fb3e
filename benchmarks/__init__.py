"""What authenticating costs, and what limits add: ``docs/performance.md`` has the figures.

``python -m benchmarks.authentication`` and ``python -m benchmarks.limits``, with the extras
``dev`` and ``bench``; on the database that ``DATABASE_URL`` names, in a throw-away one there.
``python -m benchmarks.road`` counts the files and functions that a request passes.
"""

from __future__ import annotations

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()
