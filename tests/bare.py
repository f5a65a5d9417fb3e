"""``python -m tests.bare``: fail where something is installed that the package can do without."""

from __future__ import annotations

import sys
from importlib.util import find_spec

OPTIONAL = ("channels", "httpx", "ninja", "drf_spectacular", "redis", "websockets")

if __name__ == "__main__":
    sys.exit(", ".join(name for name in OPTIONAL if find_spec(name)) or None)
