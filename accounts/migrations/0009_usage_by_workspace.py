"""Count the use of a credential apart for each workspace that it was in during an hour."""

from django.db import migrations, models

SQL = [
    "DROP INDEX CONCURRENTLY IF EXISTS usage_by_workspace",  # left by a try that was killed
    """CREATE UNIQUE INDEX CONCURRENTLY usage_by_workspace
       ON accounts_credentialusage (credential_id, started_at, workspace_id)""",
    """ALTER TABLE accounts_credentialusage DROP CONSTRAINT accounts_credentialusage_pkey,
       ADD CONSTRAINT accounts_credentialusage_pkey PRIMARY KEY USING INDEX usage_by_workspace""",
]
# Refused by the database while a credential has been in two workspaces in one hour.
REVERSE = """
ALTER TABLE accounts_credentialusage DROP CONSTRAINT accounts_credentialusage_pkey,
    ADD PRIMARY KEY (credential_id, started_at)
"""


class Migration(migrations.Migration):
    atomic = False  # the index is built while the service goes on counting
    dependencies = [("accounts", "0008_trail_knows_who_left")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(SQL, REVERSE)],
            state_operations=[
                migrations.AlterField(
                    model_name="credentialusage",
                    name="pk",
                    field=models.CompositePrimaryKey(
                        "credential_id",
                        "started_at",
                        "workspace_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                )
            ],
        )
    ]
