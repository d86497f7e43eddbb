"""Verifying the audit trail's chain of hashes, which runs through all workspaces: as a whole, or stretch by stretch, so
that a page can do it and show how far it is.
"""

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Exists, OuterRef, Subquery
from rest_framework.request import Request

from accounts.audit import CHAINED, GENESIS, Action, content_digest, personal_digest, record_for
from accounts.models import AuditEvent, AuditHead, User
from spatialflow.errors import Conflict

INVITATIONS = "invitation."
STRETCH = 5_000  # rows: well under a second


class BreakFoundMeanwhile(Conflict):
    default_detail = (
        "Somebody has found the chain broken since this verification began, so what it read before says nothing now. "
        "Verify the trail anew."
    )
    default_code = "break_found_meanwhile"


class Link(NamedTuple):
    """A row of the chain, by its place and its hash."""

    sequence: int
    hash: bytes


START = Link(0, GENESIS)


class Break(NamedTuple):
    """A place where the chain does not hold. `workspace_id` is whose the row is, None where that is not known."""

    sequence: int
    workspace_id: uuid.UUID | None
    sentence: str


@dataclass(frozen=True)
class Stretch:
    """What verifying some rows has found: the last of them, and the head that the chain had at that moment."""

    breaks: list[Break]
    last: Link
    head: Link
    is_end: bool


def broken_links(exported_head: str | None = None) -> Iterator[str]:
    """Yield a sentence for each place where the chain does not hold: a row changed, removed, inserted or cut off.

    A tail that was cut off together with the head's row shows only against `exported_head`, a hash noted earlier
    elsewhere. Rows and head are read by one statement, so events that are appended meanwhile are no break.
    """
    last, head, head_seen = START, find_head(), exported_head in (None, GENESIS.hex())
    for row in _rows_with_head(0, None):
        head = _head_of(row)
        yield from (found.sentence for found in _breaks_at(row, last))
        last = Link(row["sequence"], row["hash"])
        head_seen = head_seen or row["hash"].hex() == exported_head
    if head != last:
        yield _why_cut_off(last, head)
    if not head_seen:
        yield f"No row has the hash {exported_head}: the trail was cut off behind it, or rewritten."


def verify_stretch(behind: Link, most: int = STRETCH) -> Stretch:
    """Verify the next rows behind one that was verified, at most so many, and at the end of the chain its head."""
    last, head, count = behind, find_head(), 0  # the head first: rows that are appended meanwhile are then seen
    breaks: list[Break] = []
    for row in _rows_with_head(behind.sequence, most):
        head, count = _head_of(row), count + 1
        breaks += _breaks_at(row, last)
        last = Link(row["sequence"], row["hash"])
    is_end = count < most
    if is_end and head != last:
        breaks.append(Break(last.sequence, None, _why_cut_off(last, head)))
    return Stretch(breaks, last, head, is_end)


@transaction.atomic
def record_verified(request: Request, last: Link, break_count: int, begun_behind: int) -> None:
    """Append to the trail that the caller has verified it, up to which row, and how often it was found broken.

    `begun_behind` is the last row when that began. That the chain holds is not recorded by a verification that somebody
    has found it broken since: `BreakFoundMeanwhile`.
    """
    AuditHead.objects.select_for_update().filter(id=1).first()  # a verdict is not overtaken by another one
    if not break_count and _was_found_broken(begun_behind):
        raise BreakFoundMeanwhile()
    record_for(
        request,
        Action.AUDIT_VERIFIED,
        "Audit trail verified." if not break_count else "Audit trail verified, and found broken.",
        resource=("audit_log", request.auth.workspace_id),
        changes={"rows": last.sequence, "head": last.hash.hex(), "breaks": break_count},
    )


def _was_found_broken(behind: int) -> bool:
    """Return whether a verification has ended since a row with a break, whosever it was: there is one chain."""
    verdicts = AuditEvent.objects.filter(sequence__gt=behind, action=Action.AUDIT_VERIFIED)
    return verdicts.filter(changes__breaks__gt=0).exists()


def find_last_verification(workspace_id: uuid.UUID) -> AuditEvent | None:
    """Return the event of the last time that somebody of the workspace verified the trail."""
    done = AuditEvent.objects.filter(workspace_id=workspace_id, action=Action.AUDIT_VERIFIED)
    return done.order_by("-created_at", "-sequence").first()


def find_head() -> Link:
    """Return the last link of the chain as it stands noted; the beginning where nothing has happened."""
    head = AuditHead.objects.filter(id=1).first()
    return Link(head.sequence, bytes(head.hash)) if head else START


def _head_of(row: dict[str, Any]) -> Link:
    return Link(row["head_sequence"] or 0, row["head_hash"] or GENESIS)


def _why_cut_off(last: Link, head: Link) -> str:
    return f"The last row is {last.sequence}, but the head stands at {head.sequence}: rows were cut off or added."


def _breaks_at(row: dict[str, Any], last: Link) -> Iterator[Break]:
    """Yield what does not hold about a row that follows `last`."""
    sequence, workspace_id, named = row["sequence"], row["workspace_id"], f"row {row['sequence']} ({row['action']})"
    if sequence != last.sequence + 1:
        yield Break(sequence, None, f"Rows {last.sequence + 1} to {sequence - 1} are missing.")
    if hashlib.sha256(last.hash + content_digest(row)).digest() != row["hash"]:
        sentence = f"R{named[1:]} was changed, or the row before it was changed or removed."
        yield Break(sequence, workspace_id, sentence)
    if not _personal_data_fits(row):
        yield Break(sequence, workspace_id, f"The personal data of {named} was changed.")
    elif _was_erased_of_the_living(row):
        yield Break(sequence, workspace_id, f"The personal data of {named} was erased, but no account with it.")


def _rows_with_head(behind: int, most: int | None) -> Iterator[dict[str, Any]]:
    """Yield the rows behind a sequence number in their order, each with the head and with who still has an account: one
    statement sees one moment.
    """
    personal = ("actor_email", "ip_address", "user_agent", "actor_salt", "target_email", "target_salt")
    heads = AuditHead.objects.filter(id=1)
    rows = (
        AuditEvent.objects.filter(sequence__gt=behind)
        .order_by("sequence")
        .values(
            *CHAINED,
            *("sequence", "hash"),
            *personal,
            head_sequence=Subquery(heads.values("sequence")),
            head_hash=Subquery(heads.values("hash")),
            actor_lives=Exists(User.objects.filter(id=OuterRef("actor_id"))),
            target_lives=Exists(User.objects.filter(id=OuterRef("target_id"))),
        )
    )
    for row in rows[:most].iterator(chunk_size=2000):
        yield {name: bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()}


def _personal_data_fits(row: dict[str, Any]) -> bool:
    """Return whether the personal columns match their digests, or are erased."""
    actor = (row["actor_email"], row["ip_address"], row["user_agent"])
    if row["actor_salt"] is None:
        actor_fits = not any(actor)
    else:
        actor_fits = personal_digest(row["actor_salt"], *actor) == row["actor_digest"]
    if row["target_salt"] is None:
        return actor_fits and row["target_email"] is None
    return actor_fits and personal_digest(row["target_salt"], row["target_email"]) == row["target_digest"]


def _was_erased_of_the_living(row: dict[str, Any]) -> bool:
    """Return whether something is erased of a person who has an account, or of nobody known. An invited address alone
    does not tell whose it was; nothing but an invitation knows a person by that alone.
    """
    target_known = row["target_id"] is not None or row["action"].startswith(INVITATIONS)
    if row["target_salt"] is None and (row["target_lives"] or not target_known):
        return True
    if row["actor_salt"] is not None:
        return False
    if row["actor_id"]:
        return bool(row["actor_lives"])
    return bool(row["target_lives"] if row["target_id"] else row["target_salt"] is not None)
