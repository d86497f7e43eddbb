"""Importing a file of fences.

The file is read once, feature by feature, into a table that only this import sees; what is in it is compared with what
is stored, and one statement makes the fences. So nothing is kept in memory, a sender who is slow holds nobody up, and
an import is made as a whole or, when anything is wrong with the file or the process ends, not at all.
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
from django.db import connection
from django.utils import timezone

from geofences.features import FeatureReader, FeatureRefused
from geofences.files.formats import FORMATS
from geofences.files.stream import BoundedStream
from geofences.models import NIL_UUID, Geofence
from spatialflow.errors import ApiError, Conflict, PayloadTooLarge

BATCH = 500
MAX_REPORTED = 1_000

COLUMNS = [column.column for column in Geofence._meta.concrete_fields]
JSON_COLUMNS = {"geometry", "metadata"}

STAGE_SQL = """
    CREATE TEMPORARY TABLE geofences_staged (LIKE geofences_geofence, line bigint NOT NULL, repeats boolean NOT NULL)
    ON COMMIT DROP"""
COPY_SQL = f"COPY geofences_staged ({', '.join(COLUMNS)}, line, repeats) FROM STDIN"
# A repetition has the name and the geometry of a stored fence or of an earlier feature, all of the usual list.
FIND_REPETITIONS_SQL = """
    UPDATE geofences_staged AS staged SET repeats = true
    FROM (
        SELECT line, row_number() OVER (PARTITION BY name, geometry_digest ORDER BY line) AS place
        FROM geofences_staged WHERE is_active AND NOT archived
    ) AS usual
    WHERE usual.line = staged.line AND (usual.place > 1 OR EXISTS (
        SELECT FROM geofences_geofence AS fence
        WHERE fence.workspace_id = staged.workspace_id AND fence.name = staged.name
            AND fence.geometry_digest = staged.geometry_digest AND fence.is_active AND NOT fence.archived))"""
REPETITIONS_SQL = """
    SELECT line, count(*) OVER () FROM geofences_staged WHERE repeats ORDER BY line LIMIT %s"""
# In the order in which bulk creation makes fences, so that the two never wait for one another in a circle.
WRITE_SQL = f"""
    INSERT INTO geofences_geofence ({", ".join(COLUMNS)}) SELECT {", ".join(COLUMNS)} FROM geofences_staged
    WHERE NOT repeats OR %s ORDER BY name COLLATE "C", geometry_digest
    ON CONFLICT DO NOTHING"""  # noqa: S608 - made of constants

Strategy = Literal["skip", "override", "fail"]


class ImportRefused(ApiError):
    status_code = 422
    default_code = "import_refused"


class RepeatedFeature(Conflict):
    default_code = "duplicate_geofence"


class TooManyFeatures(PayloadTooLarge):
    default_code = "too_many_features"


@dataclass(frozen=True)
class ImportOptions:
    """How to import. With `skips_refused` a wrong feature keeps no other from being made."""

    format: str
    is_dry_run: bool = False
    skips_refused: bool = False
    dedup_strategy: Strategy = "skip"
    name_property: str = "name"
    radius_meters: float | None = None
    max_features: int | None = None


@dataclass
class Report:
    """What became of the features, by their index from 0; of a dry run, what would. Lists end after MAX_REPORTED."""

    features: int = 0
    created: int = 0
    duplicates: int = 0
    refused: int = 0
    duplicate_indexes: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    duration_ms: int = 0

    def refuse(self, name: Any, reason: str) -> None:
        """Note that the feature counted last is refused."""
        self.refused += 1
        if len(self.errors) < MAX_REPORTED:
            shown = name[:100] if isinstance(name, str) else None
            self.errors.append({"index": self.features - 1, "name": shown, "message": reason})

    def as_json(self, options: ImportOptions) -> dict[str, Any]:
        return {
            "format": options.format,
            "dry_run": options.is_dry_run,
            "features": self.features,
            "created": self.created,
            "duplicates": self.duplicates,
            "refused": self.refused,
            "duplicate_indexes": self.duplicate_indexes,
            "errors": self.errors,
            "truncated": self.refused > len(self.errors) or self.duplicates > len(self.duplicate_indexes),
        }


def import_file(
    workspace_id: uuid.UUID, user_id: uuid.UUID | None, stream: BoundedStream, options: ImportOptions
) -> Report:
    """Make fences of a file's features, within an `import_turn`, and return what became of them. A dry run makes none.
    Raises MalformedFile, FileTooLarge, FeatureTooLarge, TooManyFeatures, ImportRefused, RepeatedFeature.
    """
    began = time.monotonic()
    report = Report()
    with connection.cursor() as cursor:
        # Of a million fences, one statement takes longer than any request's may.
        cursor.execute("SET LOCAL statement_timeout = '15min'")
        cursor.execute(STAGE_SQL)
        constants = _constants(workspace_id, user_id, timezone.now())
        for batch in _batches(_rows(constants, stream, options, report)):
            with cursor.copy(COPY_SQL) as copy:
                for row in batch:
                    copy.write_row(row)
        _find_repetitions(cursor, options, report)
        _judge(options, report)
        if not options.is_dry_run:
            _write(cursor, options, report)
        cursor.execute("DROP TABLE geofences_staged")
        cursor.execute("RESET statement_timeout")
    report.duration_ms = round((time.monotonic() - began) * 1000)
    return report


def _constants(workspace_id: uuid.UUID, user_id: uuid.UUID | None, now: datetime) -> dict[str, Any]:
    """Return what all rows have in common, in the order of COLUMNS, with the defaults of the rest."""
    fence = Geofence(workspace_id=workspace_id, created_by_id=user_id, created_at=now, updated_at=now)
    return {column: getattr(fence, column) for column in COLUMNS}


def _rows(
    constants: dict[str, Any], stream: BoundedStream, options: ImportOptions, report: Report
) -> Iterator[list[Any]]:
    """Yield the row of every feature that is no error, and note those that are."""
    reader = FeatureReader(constants["workspace_id"], options.name_property, options.radius_meters)
    for feature in FORMATS[options.format].read(stream):
        report.features += 1
        if options.max_features is not None and report.features > options.max_features:
            raise TooManyFeatures(f"The file has more than {options.max_features:,} features, the most of your plan.")
        try:
            columns = reader.columns(feature)
        except FeatureRefused as error:
            report.refuse(feature.find(options.name_property), str(error))
            continue
        yield _row({**constants, **columns}, report.features - 1, options)


def _row(columns: dict[str, Any], line: int, options: ImportOptions) -> list[Any]:
    columns["id"] = uuid.uuid4()
    # The last one is the newest, as an export writes them, so that a list keeps its order.
    columns["created_at"] = columns["updated_at"] = columns["created_at"] + timedelta(microseconds=line)
    columns["distinct_by"] = columns["id"] if options.dedup_strategy == "override" else NIL_UUID
    columns["bounding_box"] = Geofence._meta.get_field("bounding_box").get_prep_value(columns["bounding_box"])
    for name in JSON_COLUMNS:
        columns[name] = orjson.dumps(columns[name]).decode()
    return [*columns.values(), line, False]


def _batches(rows: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    batch: list[list[Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _find_repetitions(cursor: Any, options: ImportOptions, report: Report) -> None:
    """Mark what repeats something, and count it. Raises RepeatedFeature under the strategy `fail`."""
    if options.dedup_strategy == "override":
        return
    cursor.execute(FIND_REPETITIONS_SQL)
    cursor.execute(REPETITIONS_SQL, [MAX_REPORTED])
    found = cursor.fetchall()
    report.duplicate_indexes = [line for line, _ in found]
    report.duplicates = found[0][1] if found else 0
    if report.duplicates and options.dedup_strategy == "fail" and not options.is_dry_run:
        raise _repeated(options, report)


def _repeated(options: ImportOptions, report: Report) -> RepeatedFeature:
    return RepeatedFeature(
        f"{report.duplicates} of {report.features} features repeat the name and the geometry of a geofence or of an "
        'earlier feature, so nothing was created. Leave them out, or choose dedup_strategy "skip" or "override".',
        extra=report.as_json(options),
    )


def _judge(options: ImportOptions, report: Report) -> None:
    """Set how many fences there will be. Raises ImportRefused where there will be none because features are wrong."""
    report.created = report.features - report.refused - report.duplicates
    if options.is_dry_run:
        stops = (report.refused and not options.skips_refused) or (
            report.duplicates and options.dedup_strategy == "fail"
        )
        report.created = 0 if stops else report.created
    elif report.refused and not options.skips_refused:
        report.created = 0
        first = report.errors[0]
        raise ImportRefused(
            f"{report.refused} of {report.features} features are refused, so nothing was created. The first is the one "
            f"with index {first['index']}: {first['message']}",
            extra=report.as_json(options),
        )


def _write(cursor: Any, options: ImportOptions, report: Report) -> None:
    """Make the fences. What another request made since we looked is a duplicate, too. Raises RepeatedFeature."""
    cursor.execute(WRITE_SQL, [options.dedup_strategy == "override"])
    late = report.created - cursor.rowcount
    report.created -= late
    report.duplicates += late
    if late and options.dedup_strategy == "fail":
        raise _repeated(options, report)
