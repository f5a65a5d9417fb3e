from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def adopt(apps: Any, schema_editor: Any) -> None:
    """Give the sandboxes that nobody has an organisation."""
    database = schema_editor.connection.alias
    homeless = apps.get_model("sandboxes", "Sandbox").objects.using(database)
    if homeless.exists():
        organisations = apps.get_model("sandboxes", "Organisation").objects.using(database)
        organisation, _ = organisations.get_or_create(name="default")
        homeless.update(organisation=organisation)


class Migration(migrations.Migration):
    dependencies = [
        ("sandboxes", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Organisation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, unique=True)),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
        migrations.AddField(
            model_name="sandbox",
            name="status",
            field=models.CharField(
                choices=[("running", "running"), ("stopped", "stopped")],
                default="running",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="sandbox",
            name="organisation",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="sandboxes.organisation",
            ),
        ),
        migrations.RunPython(adopt, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="sandbox",
            name="organisation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="sandboxes.organisation"
            ),
        ),
    ]
