"""The index that tells whether a group without a fence in the usual list exists."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("geofences", "0003_totals_are_kept")]

    operations = [
        migrations.AddIndex(
            model_name="geofence",
            index=models.Index(
                condition=models.Q(("archived", True), ("group_id__isnull", False), ("is_active", True)),
                fields=["workspace", "group_id"],
                name="geofence_archived_group",
            ),
        ),
    ]
