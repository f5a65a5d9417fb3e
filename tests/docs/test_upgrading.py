"""What docs/upgrading.md shows and promises, as far as it can be seen."""

from __future__ import annotations

import re
from pathlib import Path

from django.db.migrations import AddField, AlterField, RunPython
from django.db.migrations.loader import MigrationLoader

from tests.docs.commands import manage_commands
from tests.docs.newcomer import Shell
from tests.docs.pages import ROOT, examples, text_of


def test_the_migration_can_be_told_to_give_up_soon(tmp_path: Path) -> None:
    """``PGOPTIONS`` is read by the driver; other databases take no notice of it."""
    (console,) = examples("upgrading.md", "console")
    assert list(manage_commands(console)) == [["migrate", "pikku_auth"]]
    shell = Shell(tmp_path)
    try:
        command = console.removeprefix("$ ").replace("manage.py", f"{ROOT}/manage.py").strip()
        shell.type(f"export DATABASE_URL=sqlite:///{tmp_path}/db.sqlite3")
        assert "Applying pikku_auth.0001_initial... OK" in shell.type(command)
    finally:
        shell.end()


def test_migrations_after_the_first_keep_to_the_rules() -> None:
    """Until there is a second one, there is nothing to see."""
    migrations = MigrationLoader(None).disk_migrations
    later = [
        operation
        for (app, name), migration in migrations.items()
        if app == "pikku_auth" and name != "0001_initial"
        for operation in migration.operations
    ]
    for operation in later:
        assert not isinstance(operation, RunPython | AlterField)
        if isinstance(operation, AddField):
            assert operation.field.null or operation.field.has_db_default()


def test_the_changelog_says_what_each_release_asks_for() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "Each entry says what you must do, or nothing." in " ".join(changelog.split())
    assert "CHANGELOG.md" in text_of("upgrading.md")
    assert re.search(r"^## Unreleased$", changelog, re.MULTILINE) is None or (
        "Nothing is released yet" in text_of("upgrading.md")
    )
