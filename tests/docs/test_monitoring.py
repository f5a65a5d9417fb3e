"""What docs/monitoring.md shows, run with the libraries that it names."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django_prometheus.exports import ExportToDjangoView
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import REGISTRY
from pytest_django import DjangoCaptureOnCommitCallbacks

from pikku_auth.core.secrets import generate
from pikku_auth.flows import IssuedKey, log, revoke_key
from pikku_auth.models import KeyState
from pikku_auth.signals import audit_event_recorded, credential_judged
from pikku_auth.testing import key_headers
from tests.docs.pages import examples, run, text_of

pytestmark = pytest.mark.django_db

Minted = Callable[..., IssuedKey]
Committing = DjangoCaptureOnCommitCallbacks

PROMETHEUS, OPENTELEMETRY, FORMATTER, SETTINGS = examples("monitoring.md")


@pytest.fixture
def _receivers_leave() -> Iterator[None]:
    signals = (credential_judged, audit_event_recorded)
    before = [list(signal.receivers) for signal in signals]
    yield
    for signal, receivers in zip(signals, before, strict=True):
        signal.receivers[:] = receivers
        signal.sender_receivers_cache.clear()


@pytest.fixture
def prometheus(_receivers_leave: None) -> Iterator[None]:
    """The recipe, in a project with django-prometheus."""
    names = run(PROMETHEUS, {})
    yield
    for counter in (names["CREDENTIALS"], names["ACTS"]):
        REGISTRY.unregister(counter)


@pytest.fixture
def exported(_receivers_leave: None) -> Iterator[Callable[[], dict[str, list[Any]]]]:
    """The recipe, in a project with OpenTelemetry's SDK; the points of each counter."""
    reader = InMemoryMetricReader()
    set_meter_provider(MeterProvider([reader]))
    kept = run(OPENTELEMETRY, {})

    def points() -> dict[str, list[Any]]:
        data: Any = reader.get_metrics_data()
        (scope,) = data.resource_metrics[0].scope_metrics
        return {
            metric.name: [(dict(p.attributes), p.value) for p in metric.data.data_points]
            for metric in scope.metrics
        }

    yield points
    kept.clear()


def call(*headers: dict[str, str]) -> None:
    for one in headers:
        Client().get("/test/whoami/", headers=one)


def metrics_page() -> str:
    return ExportToDjangoView(RequestFactory().get("/metrics")).content.decode()


def revoked_and_used(mint: Minted, committing: Committing) -> IssuedKey:
    with committing(execute=True):
        issued = mint(name="ci")
        call(key_headers(issued))
        revoke_key(issued.key)
        call(key_headers(issued))
    return issued


@pytest.mark.usefixtures("prometheus")
def test_prometheus_counts_credentials_and_acts(
    mint: Minted, django_capture_on_commit_callbacks: Committing
) -> None:
    issued = revoked_and_used(mint, django_capture_on_commit_callbacks)
    call({"x-api-key": generate("pka").reveal()}, {"x-api-key": "nonsense"}, {})
    page = metrics_page()
    (shown,) = examples("monitoring.md", "text")
    assert shown in page
    counted = [line for line in page.splitlines() if line.startswith("pikku_auth_credentials_t")]
    assert [line.split("outcome=")[1].split(",source")[0] for line in sorted(counted)] == [
        '"accepted",reason=""',
        '"refused",reason="malformed"',
        '"refused",reason="revoked"',
        '"refused",reason="unknown"',
    ]
    assert 'pikku_auth_acts_total{action="key_minted"} 1.0' in page
    assert 'pikku_auth_acts_total{action="key_revoked"} 1.0' in page
    assert issued.key.preview not in page


def test_opentelemetry_counts_the_same(
    exported: Callable[[], dict[str, list[Any]]],
    mint: Minted,
    django_capture_on_commit_callbacks: Committing,
) -> None:
    revoked_and_used(mint, django_capture_on_commit_callbacks)
    points = exported()
    labels = {"credential": "key", "source": "rest_framework"}
    assert points["pikku_auth.credentials"] == [
        ({**labels, "outcome": "accepted"}, 1),
        ({**labels, "outcome": "refused", "reason": "revoked"}, 1),
    ]
    acts = {labels["action"]: value for labels, value in points["pikku_auth.acts"]}
    assert (acts["key_minted"], acts["key_revoked"]) == (1, 1)


def test_the_formatter_writes_the_line_that_is_shown(
    mint: Minted, caplog: pytest.LogCaptureFixture
) -> None:
    issued = mint(name="ci")
    revoke_key(issued.key)
    Client().get("/test/whoami/", headers=key_headers(issued), REMOTE_ADDR="192.0.2.7")
    formatter = run(FORMATTER, {})["JSONFormatter"]()
    (record,) = [record for record in caplog.records if record.name == "pikku_auth"]
    told, (shown,) = json.loads(formatter.format(record)), examples("monitoring.md", "json")
    example = json.loads(shown)
    assert list(told) == list(example)
    assert told["reason"] == example["reason"]
    assert told["ip"] == example["ip"]
    assert told["key_id"] == issued.key.pk
    assert str(told["user_id"]) == str(issued.key.service_user.user_id)
    assert told["message"].startswith("API key refused: revoked (ci (pka_")


def test_the_formatter_keeps_tracebacks_and_leaves_out_what_is_not_known() -> None:
    formatter = run(FORMATTER, {})["JSONFormatter"]()
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        error = sys.exc_info()
    record = logging.LogRecord("pikku_auth", logging.ERROR, "", 0, "down", None, error)
    told = json.loads(formatter.format(record))
    assert {*told} == {"at", "level", "logger", "message", "traceback"}
    assert "ZeroDivisionError" in told["traceback"]


def test_a_process_with_the_settings_logs_a_line_of_json(tmp_path: Path) -> None:
    package = tmp_path / "myproject"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "logs.py").write_text(FORMATTER)
    (package / "settings.py").write_text(f"from tests.settings import *\n{SETTINGS}")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, '.']; import django, os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'myproject.settings'; django.setup()\n"
        "from pikku_auth.flows import verify_key\n"
        "try: verify_key('nonsense', ip='192.0.2.7')\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert (told["level"], told["reason"], told["ip"]) == ("INFO", "malformed", "192.0.2.7")
    assert "key_id" not in told


def test_the_fields_of_the_formatter_are_those_of_the_records() -> None:
    assert run(FORMATTER, {})["FIELDS"] == list(log.FIELDS)
    page = text_of("monitoring.md")
    assert [name for name in log.FIELDS if f"| `{name}` |" not in page] == []


def test_each_state_in_which_a_key_is_refused_is_a_reason() -> None:
    _, reasons = text_of("monitoring.md").split("### Reasons")
    assert [s for s in KeyState.values if s != "active" and f"`{s}`" not in reasons] == []
