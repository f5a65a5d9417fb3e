"""A host's user model may be anything that Django allows: a process each, driven everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.user_models.models import HEAD, MODELS, NAMES

HERE = Path(__file__).parent
MANY = 100
REFUSALS = {
    "manage.py create_service_user": "refused: There is no user 'nobody' to adopt",
    "GET /auth/(get-session|whoami)": "401",  # of a machine, and of a browser
    "POST /auth/device/token": "400",  # of what was denied
    "GET /admin/pikku_auth/(loginsession|auditevent)/[0-9]+/delete/": "403",
}
"""How it ends with every user model: a question that has no other answer."""

MORE_REFUSALS = {
    "bare": {"GET /(api/who|plain)": "403"},  # of a human, whom no model makes a superuser
    "numbered": {
        "(manage.py )?(create|delete)_service_user": (
            "refused: User can't be made from the name '[a-z]+' alone \\(phone: .*: set "
            "PIKKU_AUTH\\['SERVICE_USER_FACTORY'\\]|refused: There is no user 'nobody'"
        )
    },
}


@pytest.mark.parametrize("model", MODELS)
def test_every_command_screen_and_endpoint_works_with_any_user_model(
    tmp_path: Path, model: str
) -> None:
    project = shutil.copytree(HERE / "project", tmp_path / "project")
    (project / "people" / "models.py").write_text(HEAD + MODELS[model])
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{project}"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, str(HERE / "drive.py"), NAMES.get(model, "ada")],
        cwd=project, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told) > MANY
    unexpected = [
        f"{what}: {ended}"
        for what, ended in told
        if not re.fullmatch("done|2..|302", ended) and not is_refusal(model, what, ended)
    ]
    assert not unexpected, "\n".join(unexpected)


def is_refusal(model: str, what: str, ended: str) -> bool:
    refusals = {**REFUSALS, **MORE_REFUSALS.get(model, {})}
    return any(
        re.fullmatch(pattern, what) and re.match(answer, ended)
        for pattern, answer in refusals.items()
    )
