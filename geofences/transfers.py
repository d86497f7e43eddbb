"""Imports and exports by whoever asks for them, and what the audit trail keeps of each."""

import uuid
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from rest_framework.request import Request

from accounts.audit import Action, record, record_for
from accounts.operations import OPERATOR
from geofences.exports import export_fences
from geofences.files.stream import BoundedStream, FileTooLarge, MalformedFile
from geofences.imports import ImportOptions, Report, import_file
from geofences.queries import GeofencePage
from geofences.writes import tag_key

MAX_IMPORT_BYTES = 64 * 1024 * 1024


@transaction.atomic
def import_and_record(request: Request, options: ImportOptions) -> dict[str, Any]:
    """Make fences of the request's body, which is read as a stream, note how many in the audit trail, and return the
    answer (ImportAnswer). Raises what `import_file` raises.
    """
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if announced.isdigit() and int(announced) > MAX_IMPORT_BYTES:
        raise FileTooLarge(f"The file is too large; send at most {MAX_IMPORT_BYTES // 1024 // 1024} MiB.")
    if request.stream is None:
        raise MalformedFile("The body is empty; send the file as the body of the request.")
    stream = BoundedStream(request.stream, MAX_IMPORT_BYTES)
    report = import_file(request.auth.workspace_id, request.auth.user_id, stream, options)
    if not options.is_dry_run:
        record_for(
            request,
            Action.GEOFENCES_IMPORTED,
            _described(report),
            resource=("workspace", request.auth.workspace_id),
            changes=_counts(report, options),
        )
    return report.as_json(options)


@transaction.atomic
def import_as_operator(workspace_id: uuid.UUID, stream: BoundedStream, options: ImportOptions) -> Report:
    """Make fences of a file that the operator of the service gives, in nobody's name, and note it in the audit trail.
    Raises what `import_file` raises.
    """
    report = import_file(workspace_id, None, stream, options)
    if not options.is_dry_run:
        record(
            Action.GEOFENCES_IMPORTED,
            OPERATOR,
            _described(report),
            workspace_id=workspace_id,
            resource=("workspace", workspace_id),
            changes=_counts(report, options),
        )
    return report


def _described(report: Report) -> str:
    return f"Created {report.created} geofences of {report.features} features of a file."


def _counts(report: Report, options: ImportOptions) -> dict[str, Any]:
    return {
        **{name: getattr(report, name) for name in ("features", "created", "duplicates", "refused", "duration_ms")},
        **{name: getattr(options, name) for name in ("format", "dedup_strategy", "skips_refused")},
    }


def export_and_record(request: Request, page: GeofencePage, format_name: str) -> Iterator[bytes]:
    """Note in the audit trail that fences are exported, and return the pieces of the file."""
    record_for(
        request,
        Action.GEOFENCES_EXPORTED,
        f"Exported geofences as {format_name}.",
        resource=("workspace", request.auth.workspace_id),
        changes=_chosen(page, format_name),
        status_code=200,
    )
    return _export(request.auth.workspace_id, page, format_name)


def export_as_operator(workspace_id: uuid.UUID, page: GeofencePage, format_name: str) -> Iterator[bytes]:
    """Note in the audit trail that the operator exports fences, and return the pieces of the file."""
    record(
        Action.GEOFENCES_EXPORTED,
        OPERATOR,
        f"Exported geofences as {format_name}.",
        workspace_id=workspace_id,
        resource=("workspace", workspace_id),
        changes=_chosen(page, format_name),
    )
    return _export(workspace_id, page, format_name)


def _chosen(page: GeofencePage, format_name: str) -> dict[str, Any]:
    return {"format": format_name, "states": page.states, "tags": list(page.tags)}


def _export(workspace_id: uuid.UUID, page: GeofencePage, format_name: str) -> Iterator[bytes]:
    return export_fences(workspace_id, page.states, [tag_key(tag) for tag in page.tags], format_name)
