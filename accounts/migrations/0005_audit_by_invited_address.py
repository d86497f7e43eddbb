"""Find the invitations of a person whose account is deleted without reading the whole trail."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # the index is built while the service goes on writing
    dependencies = [("accounts", "0004_workspace_sign_ins_ended")]
    operations = [
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                fields=["target_email"],
                condition=models.Q(("target_email__isnull", False), ("target_id", None)),
                name="audit_by_invited_address",
            ),
        ),
    ]
