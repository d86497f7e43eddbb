"""Pages of invitations, newest first, by offset or by a cursor that no change behind it can shift."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, Q

from accounts.models import Invitation
from accounts.models.workspace import InvitationQuerySet
from spatialflow.errors import ApiError

MAX_PAGE_LENGTH = 100
STATUSES = ("pending", "expired", "accepted", "revoked")


class InvalidCursor(ApiError):
    default_detail = "The cursor is malformed; send next_cursor of the page before, unchanged."
    default_code = "invalid_cursor"


@dataclass(frozen=True)
class Page:
    """`total` counts everything pending, `remaining_count` what follows this page."""

    invitations: list[Invitation]
    total: int
    remaining_count: int
    next_cursor: str | None


def read_page(workspace_id: uuid.UUID, limit: int, offset: int, before: str | None) -> Page:
    """Return pending invitations, newest first. `before` is the cursor of a page. Raises `InvalidCursor`."""
    pending = Invitation.objects.for_workspace(workspace_id).pending()
    window = _following(pending, before)
    rows = list(window.select_related("invited_by").order_by("-created_at", "id")[offset : offset + limit])
    remaining = max(0, window.count() - offset - len(rows))
    return Page(rows, pending.count(), remaining, _cursor(rows[-1]) if rows and remaining else None)


def count_by_status(workspace_id: uuid.UUID) -> dict[str, int]:
    """Return how many invitations there are of each status. One query."""
    counts = {status: Count("id", filter=InvitationQuerySet.being(status)) for status in STATUSES}
    return Invitation.objects.for_workspace(workspace_id).aggregate(**counts)


def read_status(workspace_id: uuid.UUID, status: str, before: str | None) -> tuple[list[Invitation], str | None]:
    """Return the next invitations of a status, newest first, and the cursor of those after. One query. Raises
    `InvalidCursor`.
    """
    found = Invitation.objects.for_workspace(workspace_id).filter(InvitationQuerySet.being(status))
    ordered = _following(found, before).select_related("invited_by").order_by("-created_at", "id")
    rows = list(ordered[: MAX_PAGE_LENGTH + 1])
    shown = rows[:MAX_PAGE_LENGTH]
    return shown, _cursor(shown[-1]) if len(rows) > len(shown) else None


def _following(invitations: InvitationQuerySet, before: str | None) -> InvitationQuerySet:
    if not before:
        return invitations
    created_at, last_id = _read_cursor(before)
    return invitations.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__gt=last_id))


def _cursor(last: Invitation) -> str:
    return f"{last.created_at.astimezone(UTC).isoformat().replace('+00:00', 'Z')},{last.id}"


def _read_cursor(text: str) -> tuple[datetime, uuid.UUID]:
    moment, _, identifier = text.partition(",")
    try:
        created_at = datetime.fromisoformat(moment)
        return created_at.replace(tzinfo=created_at.tzinfo or UTC).astimezone(UTC), uuid.UUID(identifier)
    except (ValueError, OverflowError):
        raise InvalidCursor() from None
