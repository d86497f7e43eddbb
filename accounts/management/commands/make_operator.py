"""Name an operator of the service."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.named import get_user
from accounts.operations import set_operator


class Command(BaseCommand):
    help = "Let a person use the operator's pages (ADMIN_ENABLED), signed in by password and second factor."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--remove", action="store_true", help="Take it away again; it acts on the next request.")

    def handle(self, **options: Any) -> None:
        user = get_user(options["email"])
        set_operator(user, not options["remove"])
        if options["remove"]:
            self.stdout.write(f"{user.email} is no operator any more.")
            return
        missing = "" if user.has_second_factor else " They need a second factor first: Settings, Security."
        self.stdout.write(f"{user.email} is an operator.{missing}")
