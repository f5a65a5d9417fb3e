"""What the commands of the server and those of the client share in reading their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """``parse`` for argparse, which hides the text of a plain ``ValueError``."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed
