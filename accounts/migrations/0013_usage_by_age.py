"""The index by which pruning finds old hours of use; built beside the service."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("accounts", "0012_mail_switched_at"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="credentialusage",
            index=models.Index(fields=["started_at"], name="usage_by_age"),
        ),
    ]
