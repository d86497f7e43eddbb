"""The audit trail, as tests look at its end."""

from accounts.models import AuditEvent


def last_event() -> AuditEvent:
    return AuditEvent.objects.order_by("-sequence")[0]
