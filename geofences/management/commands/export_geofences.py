"""Export a workspace's geofences into a file."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import QueryDict
from rest_framework.serializers import ValidationError

from accounts.management.named import get_workspace
from geofences.files.formats import FORMATS
from geofences.management.progress import Progress
from geofences.queries import GeofencePage, count_in_states
from geofences.serializers import read_page_query
from geofences.transfers import export_as_operator


class Command(BaseCommand):
    help = "Write a workspace's geofences as GeoJSON, KML or GPX, to a file or to the standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace", required=True, metavar="SLUG")
        parser.add_argument("--format", choices=list(FORMATS), default="geojson")
        parser.add_argument("--output", type=Path, help="A file that does not exist yet.")
        parser.add_argument("--all", action="store_true", help="Deleted and archived geofences, too.")
        parser.add_argument("--tag", action="append", default=[], help="Only those with this tag; repeat it for more.")

    def handle(self, **options: Any) -> None:
        workspace = get_workspace(options["workspace"])
        page = self.read_page(options["tag"], is_all=options["all"])
        pieces = export_as_operator(workspace.id, page, options["format"])
        progress = Progress(sys.stderr, count_in_states(workspace.id, page.states))
        try:
            # The standard output as bytes: what the machine takes for its character set does not matter.
            with options["output"].open("xb") if options["output"] else open(1, "wb", closefd=False) as output:  # noqa: PTH123
                for number, piece in enumerate(pieces):
                    output.write(piece)
                    progress.show(number, "geofences", number)
        except OSError as error:
            raise CommandError(f"The file cannot be written: {error.strerror}.") from None
        finally:
            progress.end()

    @staticmethod
    def read_page(tags: list[str], *, is_all: bool) -> GeofencePage:
        """Return which fences are asked for, by the rules of the API. Raises CommandError."""
        query = QueryDict(mutable=True)
        query["active_only"], query["include_archived"] = str(not is_all), str(is_all)
        query.setlist("tags", tags)
        try:
            return read_page_query(query)
        except ValidationError as error:
            raise CommandError(f"--tag: {error.detail['tags'][0]}") from None
