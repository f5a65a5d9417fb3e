"""``python -m tests.cache.caller``: call with the credentials that stdin names, until it ends.

Each line that is written is the number of a credential, when the call began, how long it took,
and the status of its answer. The clock is one for all processes of a machine.
"""

from __future__ import annotations

import json
import random
import select
import sys
import time

import django


def main() -> None:
    django.setup()
    from django.test import Client

    client = Client(raise_request_exception=False)
    client.get("/auth/whoami")  # the first one imports what the others use
    headers: list[dict[str, str]] = json.loads(sys.stdin.readline())
    while not select.select([sys.stdin], [], [], 0)[0]:
        number = random.randrange(len(headers))  # noqa: S311
        began = time.monotonic()
        status = client.get("/auth/whoami", headers=headers[number]).status_code
        sys.stdout.write(f"{number} {began} {time.monotonic() - began} {status}\n")


if __name__ == "__main__":
    main()
