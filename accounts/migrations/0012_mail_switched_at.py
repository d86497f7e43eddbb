from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0011_former_members")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="mail_switched_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
