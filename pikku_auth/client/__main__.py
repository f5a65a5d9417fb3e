"""``python -m pikku_auth.client``."""

from __future__ import annotations

import sys

from pikku_auth.client.cli import main

if __name__ == "__main__":
    sys.exit(main())
