"""Take away the second factor of a person who lost it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.named import get_user
from accounts.operations import remove_second_factor


class Command(BaseCommand):
    help = "Remove a second factor and its recovery codes, of somebody who has lost both and proven who they are."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, **options: Any) -> None:
        user = get_user(options["email"])
        if not user.has_second_factor:
            raise CommandError(f"{user.email} has no second factor.")
        ended = remove_second_factor(user)
        self.stdout.write(f"{user.email} signs in with the password alone; {ended} sign-in(s) ended.")
