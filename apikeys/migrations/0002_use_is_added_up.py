"""Sums of the hours of use that are over, so that a list of keys adds up few."""

import datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("apikeys", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="folded_last_refused_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="folded_refusals",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="apikey",
            name="folded_requests",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="apikey",
            name="folded_until",
            field=models.DateTimeField(
                db_default=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.UTC),
                default=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.UTC),
            ),
        ),
    ]
