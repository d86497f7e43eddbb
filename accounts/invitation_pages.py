"""Pages of pending invitations, newest first, by offset or by a cursor that no change behind it can shift."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q

from accounts.models import Invitation
from spatialflow.errors import ApiError

MAX_PAGE_LENGTH = 100


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
    window = pending
    if before:
        created_at, last_id = _read_cursor(before)
        window = pending.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__gt=last_id))
    rows = list(window.select_related("invited_by").order_by("-created_at", "id")[offset : offset + limit])
    remaining = max(0, window.count() - offset - len(rows))
    last = rows[-1] if rows and remaining else None
    cursor = last and f"{last.created_at.astimezone(UTC).isoformat().replace('+00:00', 'Z')},{last.id}"
    return Page(rows, pending.count(), remaining, cursor)


def _read_cursor(text: str) -> tuple[datetime, uuid.UUID]:
    moment, _, identifier = text.partition(",")
    try:
        created_at = datetime.fromisoformat(moment)
        return created_at.replace(tzinfo=created_at.tzinfo or UTC).astimezone(UTC), uuid.UUID(identifier)
    except (ValueError, OverflowError):
        raise InvalidCursor() from None
