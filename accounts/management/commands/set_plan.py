"""Set the plan of a workspace."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from accounts.management.named import get_workspace
from accounts.operations import set_plan


class Command(BaseCommand):
    help = "Give a workspace a plan. Nobody else can: what people choose at signup is recorded as a wish."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("plan", choices=list(settings.PLAN_LIMITS))

    def handle(self, **options: Any) -> None:
        workspace = get_workspace(options["slug"])
        ended = set_plan(workspace, options["plan"])
        told = f" {ended} sign-in(s) by its identity provider ended." if ended else ""
        self.stdout.write(f"{workspace.slug} has the plan {options['plan']}.{told}")
