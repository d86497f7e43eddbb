"""Note which scopes of a key were used in an hour."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_usage_by_workspace")]
    operations = [
        migrations.AddField(
            model_name="credentialusage",
            name="scopes_used",
            field=models.IntegerField(null=True, help_text="SCOPE_BITS; null means that nobody noted them yet."),
        )
    ]
