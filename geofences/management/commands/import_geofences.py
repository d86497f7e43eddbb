"""Import a file of geofences into a workspace."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.named import get_workspace
from geofences.file_serializers import ImportQuerySerializer
from geofences.files.formats import FORMATS
from geofences.files.stream import BoundedStream
from geofences.imports import ImportOptions, Report
from geofences.management.progress import Progress
from geofences.transfers import import_as_operator
from spatialflow.errors import ApiError

PARTLY = 3  # the exit code when features were refused and the others made


class WatchedFile:
    """A file that tells a progress bar how much of it was read."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.file, self.progress = path.open("rb"), progress
        self.stream = BoundedStream(self)
        self.position = 0  # a pipe cannot tell it

    def read(self, size: int, /) -> bytes:
        self.progress.show(self.position, "features", self.stream.features)
        piece = self.file.read(size)
        self.position += len(piece)
        return piece


class Command(BaseCommand):
    help = (
        "Make geofences of a GeoJSON, KML or GPX file of any size: all or none, unless --skip-refused. Exits with 0 "
        "when nothing is wrong, 1 when errors kept everything from being made or, in a dry run, would keep it, "
        f"{PARTLY} when some features were left out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--workspace", required=True, metavar="SLUG")
        parser.add_argument("--format", choices=list(FORMATS), help="Without it, the file's name tells.")
        parser.add_argument("--dry-run", action="store_true", help="Only tell what would happen.")
        parser.add_argument("--skip-refused", action="store_true", help="Leave out what is wrong, make the rest.")
        parser.add_argument("--duplicates", choices=["skip", "override", "fail"], default="skip")
        parser.add_argument("--name-property", default="name", help="Which property of a feature holds its name.")
        parser.add_argument("--radius-meters", help="Makes circles of points that name no radius.")

    def handle(self, **options: Any) -> None:
        workspace = get_workspace(options["workspace"])
        path: Path = options["file"]
        chosen = ImportOptions(
            format=options["format"] or self.format_of(path),
            is_dry_run=options["dry_run"],
            skips_refused=options["skip_refused"],
            dedup_strategy=options["duplicates"],
            **self.read_values(options),
        )
        report = self.import_file(workspace.id, path, chosen)
        self.show_errors(report.errors)
        verb = "would be created" if chosen.is_dry_run else "created"
        self.stdout.write(
            f"{report.features:,} features: {report.created:,} {verb}, {report.duplicates:,} duplicates, "
            f"{report.refused:,} refused."
        )
        if chosen.is_dry_run and chosen.dedup_strategy == "fail" and report.duplicates:
            raise CommandError(f"Without --dry-run, the {report.duplicates:,} duplicates would refuse the file.")
        if report.refused:
            sys.exit(PARTLY if chosen.skips_refused else 1)

    @staticmethod
    def read_values(options: dict[str, Any]) -> dict[str, Any]:
        """Return the options that are free text, by the rules of the API. Raises CommandError."""
        names = ("name_property", "radius_meters")
        given = ImportQuerySerializer(data={name: options[name] for name in names if options[name] is not None})
        if not given.is_valid():
            name, messages = next(iter(given.errors.items()))
            raise CommandError(f"--{name.replace('_', '-')}: {messages[0]}")
        return {name: given.validated_data.get(name) for name in names}

    def show_errors(self, errors: list[dict[str, Any]]) -> None:
        for error in errors:
            self.stderr.write(f"{error['index']}: {error['message']}")

    @staticmethod
    def format_of(path: Path) -> str:
        ending = path.suffix.lower().removeprefix(".")
        name = {"json": "geojson"}.get(ending, ending)
        if name not in FORMATS:
            raise CommandError(f"{path.name} could be anything: say with --format what it is.")
        return name

    def import_file(self, workspace_id: Any, path: Path, options: ImportOptions) -> Report:
        try:
            progress = Progress(sys.stderr, path.stat().st_size)
            watched = WatchedFile(path, progress)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        try:
            with watched.file:
                return import_as_operator(workspace_id, watched.stream, options)
        except ApiError as refused:
            progress.end()
            self.show_errors(refused.extra.get("errors", []))
            raise CommandError(str(refused.detail)) from None
        finally:
            progress.end()
