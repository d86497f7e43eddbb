"""The audit trail: what happened, to what, by whom; appended by accounts/audit.py alone."""

import secrets
import uuid

from django.db import models

from spatialflow import clock


def new_event_id() -> uuid.UUID:
    """Return a UUIDv7 (RFC 9562 section 5.7): milliseconds since 1970, then 74 random bits. So the index by id grows at
    its end, and an append costs the same however long the trail.
    """
    random = secrets.randbits(74)
    milliseconds = int(clock.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | random >> 62 << 64 | 2 << 62 | random & (1 << 62) - 1)


class AuditEvent(models.Model):
    """One security-relevant act. Append-only; `hash` covers the row and the hash of the one before.

    Personal data stands in columns of its own and enters the chain only as a salted digest, so that it can be erased
    (values and salt set to null) without breaking a link. No foreign keys: the trail outlives what it tells of.
    """

    sequence = models.BigIntegerField(primary_key=True)
    id = models.UUIDField(unique=True, default=new_event_id, editable=False)
    created_at = models.DateTimeField()
    workspace_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    action = models.CharField(max_length=60)
    resource_type = models.CharField(max_length=40)
    resource_id = models.CharField(max_length=60, blank=True)
    description = models.CharField(max_length=300)
    changes = models.JSONField(null=True)
    http_method = models.CharField(max_length=10, blank=True)
    path = models.CharField(max_length=300, blank=True)
    status_code = models.SmallIntegerField(null=True)

    # Personal: null means erased or unknown.
    actor_email = models.CharField(max_length=254, null=True)  # noqa: DJ001
    ip_address = models.CharField(max_length=45, null=True)  # noqa: DJ001
    user_agent = models.CharField(max_length=300, null=True)  # noqa: DJ001
    actor_salt = models.BinaryField(max_length=16, null=True)
    actor_digest = models.BinaryField(max_length=32)
    target_id = models.UUIDField(null=True)
    target_email = models.CharField(max_length=254, null=True)  # noqa: DJ001
    target_salt = models.BinaryField(max_length=16, null=True)
    target_digest = models.BinaryField(max_length=32)

    hash = models.BinaryField(max_length=32)

    class Meta:
        indexes = [
            models.Index(fields=["workspace_id", "-created_at", "-sequence"], name="audit_of_a_workspace"),
            models.Index(fields=["workspace_id", "action", "-created_at"], name="audit_by_action"),
            models.Index(fields=["actor_id"], name="audit_by_actor"),
            models.Index(fields=["target_id"], name="audit_by_target"),
            # Invitations: all that is known of their person is the address, which is erased with the account.
            models.Index(
                fields=["target_email"],
                condition=models.Q(target_id=None, target_email__isnull=False),
                name="audit_by_invited_address",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action}"


class AuditHead(models.Model):
    """The last link of the chain: one row, whose lock puts all appends in order."""

    sequence = models.BigIntegerField(default=0)
    hash = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return f"head at {self.sequence}"
