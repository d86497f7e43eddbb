"""Reinstate a suspended workspace."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.named import get_workspace
from accounts.operations import reinstate_workspace


class Command(BaseCommand):
    help = "Open a suspended workspace again: to new sign-ins, and to the API keys that it had."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")

    def handle(self, **options: Any) -> None:
        workspace = get_workspace(options["slug"])
        reinstate_workspace(workspace)
        self.stdout.write(f"{workspace.slug} is open again.")
