"""Imports and exports by whoever asks for them, and what the audit trail keeps of each."""

import time
import uuid
from collections.abc import Generator, Iterator
from typing import Any

from rest_framework.request import Request

from accounts.audit import Action, record, record_for
from accounts.operations import OPERATOR
from geofences.exports import export_fences, in_blocks
from geofences.files.stream import BoundedStream, FileTooLarge, MalformedFile, Readable
from geofences.imports import ImportOptions, Report, import_file
from geofences.queries import GeofencePage
from geofences.turns import ExportTurn, import_turn
from geofences.writes import tag_key
from spatialflow.errors import ApiError

MAX_IMPORT_BYTES = 64 * 1024 * 1024
# How long a client may let a slot wait: a sender in all, and Postgres either kind without a break.
MAX_WAIT_SECONDS = MAX_IDLE_SECONDS = 120


class SlowSender(ApiError):
    status_code = 408
    default_detail = f"The file came too slowly: it kept us waiting for more than {MAX_WAIT_SECONDS} seconds in all."
    default_code = "sender_too_slow"


class WatchedBody:
    """The body of a request, whose sender may keep us waiting for MAX_WAIT_SECONDS in all. Raises SlowSender."""

    def __init__(self, source: Readable) -> None:
        self.source, self.waited = source, 0.0

    def read(self, size: int, /) -> bytes:
        began = time.monotonic()
        piece = self.source.read(size)
        self.waited += time.monotonic() - began
        if self.waited > MAX_WAIT_SECONDS:
            raise SlowSender()
        return piece


def import_and_record(request: Request, options: ImportOptions) -> dict[str, Any]:
    """Make fences of the request's body, which is read as a stream within an `import_turn`, note how many in the audit
    trail, and return the answer (ImportAnswer). Raises SlowSender and what `import_file` raises.
    """
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if announced.isdecimal() and int(announced) > MAX_IMPORT_BYTES:
        raise FileTooLarge(f"The file is too large; send at most {MAX_IMPORT_BYTES // 1024 // 1024} MiB.")
    if request.stream is None:
        raise MalformedFile("The body is empty; send the file as the body of the request.")
    stream = BoundedStream(WatchedBody(request.stream), MAX_IMPORT_BYTES)
    report = import_file(request.auth.workspace_id, request.auth.user_id, stream, options)
    if not options.is_dry_run:
        record_for(
            request,
            Action.GEOFENCES_IMPORTED,
            _described(report),
            resource=("workspace", request.auth.workspace_id),
            changes=_counts(report, options),
            status_code=201 if report.created else 200,
        )
    return report.as_json(options)


def import_as_operator(workspace_id: uuid.UUID, stream: BoundedStream, options: ImportOptions) -> Report:
    """Make fences of a file that the operator of the service gives, in nobody's name, and note it in the audit trail.
    Raises what `import_turn` and `import_file` raise.
    """
    with import_turn(workspace_id):
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


class ExportedBlocks(Iterator[bytes]):
    """The blocks of a file; the turn to export ends with the last of them, or when the server closes it."""

    def __init__(self, turn: ExportTurn, blocks: Generator[bytes, None, None]) -> None:
        self._turn, self._blocks = turn, blocks

    def __next__(self) -> bytes:
        try:
            return next(self._blocks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the turn and whatever is still being read."""
        try:
            self._blocks.close()
        finally:
            self._turn.end()


def export_and_record(request: Request, page: GeofencePage, format_name: str) -> ExportedBlocks:
    """Take a turn to export, note it in the audit trail, and return the blocks of the file.
    Raises ExportUnderWay, ExportsBusy.
    """
    workspace_id = request.auth.workspace_id
    turn = ExportTurn(workspace_id)
    try:
        record_for(
            request,
            Action.GEOFENCES_EXPORTED,
            f"Exported geofences as {format_name}.",
            resource=("workspace", workspace_id),
            changes=_chosen(page, format_name),
            status_code=200,
        )
    except BaseException:
        turn.end()
        raise
    tag_keys = [tag_key(tag) for tag in page.tags]
    pieces = export_fences(workspace_id, page.states, tag_keys, format_name, MAX_IDLE_SECONDS)
    return ExportedBlocks(turn, in_blocks(pieces))


def export_as_operator(workspace_id: uuid.UUID, page: GeofencePage, format_name: str) -> Iterator[bytes]:
    """Yield the pieces of the file, one a fence, to the operator, who needs no turn. Before the first it is noted in
    the audit trail.
    """
    record(
        Action.GEOFENCES_EXPORTED,
        OPERATOR,
        f"Exported geofences as {format_name}.",
        workspace_id=workspace_id,
        resource=("workspace", workspace_id),
        changes=_chosen(page, format_name),
    )
    yield from export_fences(workspace_id, page.states, [tag_key(tag) for tag in page.tags], format_name)


def _chosen(page: GeofencePage, format_name: str) -> dict[str, Any]:
    return {"format": format_name, "states": page.states, "tags": list(page.tags)}
