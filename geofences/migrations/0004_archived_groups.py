"""The index that tells whether a group without a fence in the usual list exists; built beside the service."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("geofences", "0003_totals_are_kept")]

    operations = [
        AddIndexConcurrently(
            model_name="geofence",
            index=models.Index(
                condition=models.Q(("archived", True), ("group_id__isnull", False), ("is_active", True)),
                fields=["workspace", "group_id"],
                name="geofence_archived_group",
            ),
        ),
    ]
