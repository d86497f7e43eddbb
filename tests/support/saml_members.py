"""Who belongs to a workspace, and who is invited into it, for tests of whom its identity provider signs in."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Invitation, Membership, Workspace

DAVE = "dave@acme.test"


def invite(workspace: Workspace, email: str = DAVE, role: str = "manager", **fields: Any) -> Invitation:
    expires_at = timezone.now() + timedelta(days=1)
    digest = f"{workspace.slug} {email}".encode()[:32]
    return Invitation.objects.create(
        workspace=workspace, email=email, role=role, digest=digest, **{"expires_at": expires_at, **fields}
    )


def place_of(email: str, slug: str = "acme") -> str | None:
    """Return somebody's role in a workspace."""
    return Membership.objects.filter(user__email=email, workspace__slug=slug).values_list("role", flat=True).first()
