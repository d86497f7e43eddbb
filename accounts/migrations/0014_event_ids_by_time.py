from django.db import migrations, models

import accounts.models.audit


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_usage_by_age"),
    ]

    operations = [
        migrations.AlterField(
            model_name="auditevent",
            name="id",
            field=models.UUIDField(default=accounts.models.audit.new_event_id, editable=False, unique=True),
        ),
    ]
