"""Suspend a workspace."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.named import get_workspace
from accounts.operations import suspend_workspace


class Command(BaseCommand):
    help = "Let nobody and no API key into a workspace any more: sign-ins end for good, keys stop until reinstated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")

    def handle(self, **options: Any) -> None:
        workspace = get_workspace(options["slug"])
        ended = suspend_workspace(workspace)
        self.stdout.write(f"{workspace.slug} is suspended; {ended} sign-in(s) ended.")
