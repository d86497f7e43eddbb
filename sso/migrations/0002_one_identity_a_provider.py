from django.db import migrations


class Migration(migrations.Migration):
    """A person has at most one identity at a provider. The table is social-auth's, so its models know nothing of it."""

    dependencies = [
        ("sso", "0001_one_time_rows"),
        ("social_django", "0022_nonce_timestamp_index"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE UNIQUE INDEX one_identity_a_provider ON social_auth_usersocialauth (user_id, provider)",
            "DROP INDEX one_identity_a_provider",
        ),
    ]
