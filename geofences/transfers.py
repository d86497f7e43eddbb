"""Imports and exports by a request: what the trail keeps of them."""

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from rest_framework.request import Request

from accounts.audit import Action, record_for
from geofences.exports import export_fences
from geofences.files.stream import BoundedStream, FileTooLarge, MalformedFile
from geofences.imports import ImportOptions, import_file
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
            f"Created {report.created} geofences of {report.features} features of a file.",
            resource=("workspace", request.auth.workspace_id),
            changes={
                **{name: getattr(report, name) for name in ("features", "created", "duplicates", "refused")},
                **{"format": options.format, "dedup_strategy": options.dedup_strategy},
                **{"skips_refused": options.skips_refused, "duration_ms": report.duration_ms},
            },
        )
    return report.as_json(options)


def export_and_record(request: Request, page: GeofencePage, format_name: str) -> Iterator[bytes]:
    """Note in the audit trail that fences are exported, and return the pieces of the file."""
    record_for(
        request,
        Action.GEOFENCES_EXPORTED,
        f"Exported geofences as {format_name}.",
        resource=("workspace", request.auth.workspace_id),
        changes={"format": format_name, "states": page.states, "tags": list(page.tags)},
        status_code=200,
    )
    tag_keys = [tag_key(tag) for tag in page.tags]
    return export_fences(request.auth.workspace_id, page.states, tag_keys, format_name)
