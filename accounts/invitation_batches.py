"""Sending many invitations again in one request."""

import uuid
from dataclasses import dataclass

from django.db import transaction
from rest_framework.request import Request

from accounts.invitation_pages import read_page
from accounts.invitations import (
    Issued,
    NotPending,
    record_resent,
    refuse_foreign_role,
    refuse_resending,
    refuse_unverified,
    replace,
)
from accounts.members import lock_caller
from accounts.models import Invitation
from accounts.permissions import InsufficientPermissions
from accounts.principal import Principal
from accounts.scopes import INVITATIONS_WRITE
from accounts.throttles import INVITATION_BATCHES
from spatialflow.api import read_id
from spatialflow.errors import ApiError, NotFound

MAX_BATCH = 200


@dataclass(frozen=True)
class Outcome:
    """What a batch did with one invitation: its successor, or why there is none."""

    invitation_id: str
    issued: Issued | None = None
    refusal: ApiError | None = None


@dataclass(frozen=True)
class Batch:
    outcomes: list[Outcome]
    next_cursor: str | None = None
    remaining_count: int = 0


def resend_many(request: Request, invitation_ids: list[str] | None, before: str | None) -> Batch:
    """Resend the named invitations, or else the next page of pending ones, newest first, after the cursor `before`.

    A row that cannot be resent is reported and does not stop the others. One charge for all, and none when no row can
    be resent. Successors are newer than every cursor, so a walk never meets them and reaches the oldest row. Raises
    `InsufficientPermissions`, `InvalidCursor`, `Throttled`.
    """
    principal = request.auth
    refuse_unverified(principal)
    if invitation_ids is None:
        page = read_page(principal.workspace_id, MAX_BATCH, 0, before)
        batch = Batch([], page.next_cursor, page.remaining_count)
        candidates: list[tuple[str, Invitation | None]] = [(str(found.id), found) for found in page.invitations]
    else:
        batch = Batch([])
        candidates = _named(principal.workspace_id, invitation_ids)
    verdicts = [(name, found, _find_refusal(principal, found)) for name, found in candidates]
    if all(refusal for _, _, refusal in verdicts):
        batch.outcomes.extend(Outcome(name, refusal=refusal) for name, _, refusal in verdicts)
        return batch
    INVITATION_BATCHES.charge(request, str(principal.user_id))
    batch.outcomes.extend(_resend_all(request, verdicts))
    return batch


@transaction.atomic
def _resend_all(request: Request, verdicts: list[tuple[str, Invitation | None, ApiError | None]]) -> list[Outcome]:
    """Carry out what was found possible. The audit events come last: they hold up everybody else's until the end."""
    caller = lock_caller(request, INVITATIONS_WRITE)
    outcomes, resent = [], []
    for name, invitation, refusal in verdicts:
        if invitation is None or refusal:
            outcomes.append(Outcome(name, refusal=refusal))
            continue
        try:
            refuse_foreign_role(caller.role, invitation.role)
            issued = replace(caller.user, invitation)
        except (NotPending, InsufficientPermissions) as error:  # accepted, or the caller demoted, since the verdict
            outcomes.append(Outcome(name, refusal=error))
            continue
        outcomes.append(Outcome(name, issued))
        resent.append((invitation, issued))
    for invitation, issued in resent:
        record_resent(request, invitation, issued)
    return outcomes


def _named(workspace_id: uuid.UUID, invitation_ids: list[str]) -> list[tuple[str, Invitation | None]]:
    """Return each name once, with the workspace's invitation of that id if there is one."""
    ids: dict[str, uuid.UUID | None] = {}
    for name in dict.fromkeys(invitation_ids):
        try:
            ids[name] = read_id(name)
        except NotFound:
            ids[name] = None
    found = Invitation.objects.for_workspace(workspace_id).in_bulk([key for key in ids.values() if key])
    return [(name, found.get(key) if key else None) for name, key in ids.items()]


def _find_refusal(principal: Principal, invitation: Invitation | None) -> ApiError | None:
    if invitation is None:
        return NotFound()
    try:
        refuse_resending(principal.role, invitation)
    except ApiError as refusal:
        return refusal
    return None
