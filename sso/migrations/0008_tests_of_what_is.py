import django.db.models.deletion
from django.db import migrations, models

KEEP_WORKSPACES = """
    UPDATE sso_samlrequest SET workspace_id = provider.workspace_id
    FROM sso_identityprovider AS provider WHERE provider.id = provider_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0011_former_members"),
        ("sso", "0007_saml_login_moment"),
    ]

    operations = [
        migrations.AddField(
            model_name="identityprovider",
            name="metadata_said",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="identityprovider",
            name="revision",
            field=models.PositiveIntegerField(default=1),
        ),
        # Tests that are on their way over this change count for nothing: no connection has the revision 0.
        migrations.AddField(
            model_name="samlrequest",
            name="revision",
            field=models.PositiveIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="samlrequest",
            name="workspace",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.workspace"
            ),
        ),
        migrations.RunSQL(KEEP_WORKSPACES, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="samlrequest",
            name="workspace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.workspace"
            ),
        ),
        migrations.AlterField(
            model_name="samlrequest",
            name="provider",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="sso.identityprovider",
            ),
        ),
    ]
