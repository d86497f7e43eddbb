"""Reinstate a suspended person."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.named import get_user
from accounts.operations import reinstate_user


class Command(BaseCommand):
    help = "Let a suspended person in again: with a new sign-in, and with the API keys that they had."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, **options: Any) -> None:
        user = get_user(options["email"])
        reinstate_user(user)
        self.stdout.write(f"{user.email} may sign in again.")
