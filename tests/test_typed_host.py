"""What a host writes with the documented names satisfies ``mypy --strict``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import examples

pytest.importorskip("mypy_drf_plugin", reason="mypy's plugins are needed")

ROOT = Path(__file__).parent.parent


def the_readmes_view() -> str:
    """Annotated, as a strict host would write it."""
    [view] = [text for text in examples("README.md") if "HasScope" in text]
    annotated = view.replace("(request):", "(request: Request) -> Response:")
    assert annotated != view
    imports = "from django.urls import path\nfrom rest_framework.request import Request\n"
    return imports + annotated.replace("urlpatterns +=", "urlpatterns =")


@pytest.mark.timeout(600)
def test_documented_names_satisfy_strict_mypy(tmp_path: Path) -> None:
    """One call with the project's own configuration, so that it shares mypy's cache.

    As in a host, findings in the package itself don't count: the check of types has those.
    """
    readme = tmp_path / "readme.py"
    readme.write_text(the_readmes_view())
    mypy = [sys.executable, "-m", "mypy", "--no-error-summary", "tests/typed_host", str(readme)]
    found = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.stderr, found.returncode in {0, 1}) == ("", True)
    findings = found.stdout.splitlines()
    assert [line for line in findings if re.match(r"tests/typed_host|\S*readme\.py", line)] == []
