import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_usage_by_age"),
        ("sso", "0008_tests_of_what_is"),
    ]

    operations = [
        migrations.AddField(
            model_name="samlkeypair",
            name="state",
            field=models.CharField(
                choices=[("present", "Present"), ("next", "Next"), ("former", "Former")],
                db_default="present",
                default="present",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="samlkeypair",
            name="used_as_former_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddConstraint(
            model_name="samlkeypair",
            constraint=models.UniqueConstraint(fields=("workspace", "state"), name="one_saml_key_a_state"),
        ),
        migrations.AlterField(
            model_name="samlkeypair",
            name="workspace",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.workspace"
            ),
        ),
    ]
