"""How hard Hypothesis tries: ``HYPOTHESIS_PROFILE`` is ``dev``, ``ci`` or ``deep``."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

_common: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}

settings.register_profile("dev", max_examples=40, **_common)
# The same examples in each run, so that a change that is refused was wrong.
settings.register_profile(
    "ci", max_examples=100, derandomize=True, database=None, print_blob=True, **_common
)
settings.register_profile("deep", max_examples=2_000, print_blob=True, **_common)


def load() -> None:
    """Choose the profile: ``ci`` where ``CI`` is true, and ``dev`` where nothing is said."""
    default = "ci" if os.environ.get("CI", "").lower() in {"1", "true"} else "dev"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or default)


def fewer(percentage: int, **changes: Any) -> settings:
    """Settings for a costly test, which tries that share of the profile's examples."""
    examples = settings.default.max_examples * percentage // 100
    return settings(max_examples=examples, **changes)
