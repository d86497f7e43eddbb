"""Reading a workspace's audit trail: filters, pages, and an export that is never whole in memory."""

import csv
import io
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import orjson
from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from rest_framework.request import Request

from accounts.audit import Action, record_for
from accounts.models import AuditEvent
from spatialflow.api import read_id
from spatialflow.errors import NotFound

PAGE_LENGTH = 50
MAX_EXPORTED = 10_000
EXPORT_CHUNK = 500
FIRST_REFUSING_STATUS = 400
ERASED = "[erased]"

# `text/json` and not `application/json`: what the official SDK gives its caller is then the document itself, not
# Python's way of writing the lists in it.
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "json": "text/json; charset=utf-8"}

# What an event looks like, here and in an export, which leaves out `changes` to stay small.
EXPORTED = (
    *("id", "created_at", "user_email", "user_id", "action", "resource_type", "resource_id", "description"),
    *("target_email", "target_id", "ip_address", "user_agent", "http_method", "path", "status_code"),
)


@dataclass(frozen=True)
class Filters:
    """Which events are asked for. `user_id` is a person who did it or to whom it was done; `date_to` is exclusive;
    `result` is "succeeded" or "refused".
    """

    action: str | None = None
    user_id: uuid.UUID | None = None
    resource_type: str | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None
    search: str | None = None
    result: str | None = None


def find_events(workspace_id: uuid.UUID, filters: Filters) -> QuerySet[AuditEvent]:
    """Return a workspace's events, newest first."""
    conditions = Q(workspace_id=workspace_id)
    if filters.action:
        conditions &= Q(action=filters.action)
    if filters.resource_type:
        conditions &= Q(resource_type=filters.resource_type)
    if filters.user_id:
        conditions &= Q(actor_id=filters.user_id) | Q(target_id=filters.user_id)
    if filters.date_from:
        conditions &= Q(created_at__gte=filters.date_from)
    if filters.date_to:
        conditions &= Q(created_at__lt=filters.date_to)
    if filters.result:
        was_refused = Q(status_code__gte=FIRST_REFUSING_STATUS)
        conditions &= was_refused if filters.result == "refused" else Q(status_code=None) | ~was_refused
    if filters.search:
        searched = ("description", "action", "resource_id", "actor_email", "target_email", "ip_address")
        conditions &= Q(*((f"{name}__icontains", filters.search) for name in searched), _connector=Q.OR)
    return AuditEvent.objects.filter(conditions).order_by("-created_at", "-sequence")


def get_event(workspace_id: uuid.UUID, event_id: str) -> AuditEvent:
    """Return one event of a workspace. Raises `NotFound`, alike for absent and for somebody else's."""
    found = AuditEvent.objects.filter(workspace_id=workspace_id, id=read_id(event_id)).first()
    if found is None:
        raise NotFound()
    return found


def read_page(workspace_id: uuid.UUID, filters: Filters, before: str | None) -> tuple[list[AuditEvent], bool]:
    """Return the newest events, or those older than the event whose id is `before`; and whether older ones follow.
    What happens meanwhile shifts nothing. Raises `NotFound` for an id that is not the workspace's.
    """
    events = find_events(workspace_id, filters)
    if before:
        last = get_event(workspace_id, before)
        at_the_same_time = Q(created_at=last.created_at, sequence__gte=last.sequence)
        events = events.filter(created_at__lte=last.created_at).exclude(at_the_same_time)
    found = list(events[: PAGE_LENGTH + 1])
    return found[:PAGE_LENGTH], len(found) > PAGE_LENGTH


def event_json(event: AuditEvent) -> dict[str, Any]:
    """Return an event as the API shows it. `user_email` is whoever did it, or else, as in a failed sign-in, whom it
    concerns; "[erased]" where their account was deleted, empty where nobody is known.
    """
    actor = event.actor_email or (ERASED if event.actor_id else "")
    target = event.target_email or (ERASED if event.target_id and event.target_salt is None else None)
    return {
        "id": event.id,
        "created_at": event.created_at,
        "user_email": actor or target or "",
        "user_id": event.actor_id,
        "action": event.action,
        "resource_type": event.resource_type,
        "resource_id": event.resource_id or None,
        "description": event.description,
        "target_email": target,
        "target_id": event.target_id,
        "changes": event.changes,
        "ip_address": event.ip_address,
        "user_agent": event.user_agent,
        "http_method": event.http_method,
        "path": event.path,
        "status_code": event.status_code,
    }


def export_file(request: Request, filters: Filters, export_format: str) -> StreamingHttpResponse:
    """Answer with an export as a file, while it is being written."""
    lines = export(request, filters, export_format)
    response = StreamingHttpResponse(lines, content_type=CONTENT_TYPES[export_format])
    response["Content-Disposition"] = f'attachment; filename="audit-log.{export_format}"'
    return response


def export(request: Request, filters: Filters, export_format: str) -> Iterator[str]:
    """Return the newest events as pieces of text, "csv" or "json". The export is an event itself, and the first row.

    What was searched for may be somebody's address, so the event keeps only that something was.
    """
    kept = {name: str(value) for name, value in asdict(filters).items() if value and name != "search"}
    record_for(
        request,
        Action.AUDIT_EXPORTED,
        "Audit log exported.",
        resource=("audit_log", request.auth.workspace_id),
        changes={"format": export_format, "searched": bool(filters.search), **kept},
        status_code=200,
    )
    events = find_events(request.auth.workspace_id, filters).defer("changes")[:MAX_EXPORTED]
    rows = map(_exported, events.iterator(chunk_size=EXPORT_CHUNK))
    return _as_csv(rows) if export_format == "csv" else _as_json(rows)


def _exported(event: AuditEvent) -> dict[str, Any]:
    event.changes = None  # deferred: reading it would ask the database for each row
    shown = event_json(event)
    return {name: shown[name] for name in EXPORTED}


def _as_json(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        yield (",\n" if number else "\n") + orjson.dumps(row, option=orjson.OPT_UTC_Z).decode()
    yield "\n]\n"


def _as_csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    for values in chain([EXPORTED], (row.values() for row in rows)):
        writer.writerow([_harmless(value) for value in values])
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _harmless(value: Any) -> Any:
    """Return the cell, quoted where a spreadsheet would take a client's text for a formula (CSV injection)."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return f"'{value}"
    return value
