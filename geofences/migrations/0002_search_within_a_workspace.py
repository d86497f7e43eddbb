"""Indexes that lead with the workspace, and the table of totals.

The two extensions are part of PostgreSQL's own contrib and trusted: the owner of the database may create them.
"""

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.text
from django.contrib.postgres.operations import BtreeGinExtension, BtreeGistExtension
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("geofences", "0001_initial"),
    ]

    operations = [
        BtreeGinExtension(),
        BtreeGistExtension(),
        migrations.CreateModel(
            name="GeofenceTotal",
            fields=[
                (
                    "workspace",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.workspace",
                    ),
                ),
                ("active", models.BigIntegerField(default=0)),
                ("active_archived", models.BigIntegerField(default=0)),
                ("inactive", models.BigIntegerField(default=0)),
                ("inactive_archived", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.RemoveIndex(
            model_name="geofence",
            name="geofence_page",
        ),
        migrations.RemoveIndex(
            model_name="geofence",
            name="geofence_total",
        ),
        migrations.RemoveIndex(
            model_name="geofence",
            name="geofence_group",
        ),
        migrations.RemoveIndex(
            model_name="geofence",
            name="geofence_tags",
        ),
        migrations.RemoveIndex(
            model_name="geofence",
            name="geofence_box",
        ),
        migrations.AddIndex(
            model_name="geofence",
            index=models.Index(
                fields=["workspace", "is_active", "archived", "-created_at", "id"], name="geofence_page"
            ),
        ),
        migrations.AddIndex(
            model_name="geofence",
            index=models.Index(
                condition=models.Q(("archived", False), ("group_id__isnull", False), ("is_active", True)),
                fields=["workspace", "group_id", "-created_at", "id"],
                include=("group_name",),
                name="geofence_group",
            ),
        ),
        migrations.AddIndex(
            model_name="geofence",
            index=django.contrib.postgres.indexes.GinIndex(fields=["workspace", "tag_keys"], name="geofence_tags"),
        ),
        migrations.AddIndex(
            model_name="geofence",
            index=django.contrib.postgres.indexes.GistIndex(
                condition=models.Q(("archived", False), ("is_active", True)),
                fields=["workspace", "bounding_box"],
                name="geofence_box",
            ),
        ),
        migrations.AddIndex(
            model_name="geofence",
            index=models.Index(
                condition=models.Q(("archived", False), ("is_active", True), models.Q(("tag_keys", []), _negated=True)),
                fields=["workspace"],
                name="geofence_tagged",
            ),
        ),
        migrations.AddIndex(
            model_name="geofence",
            index=models.Index(
                models.F("workspace"),
                django.db.models.functions.text.MD5("address"),
                condition=models.Q(("address__isnull", False), ("archived", False), ("is_active", True)),
                name="geofence_address",
            ),
        ),
    ]
