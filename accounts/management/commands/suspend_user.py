"""Suspend a person."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.named import get_user
from accounts.operations import suspend_user


class Command(BaseCommand):
    help = "Let a person in nowhere any more: their sign-ins end for good, their API keys stop until reinstate_user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, **options: Any) -> None:
        user = get_user(options["email"])
        ended = suspend_user(user)
        self.stdout.write(f"{user.email} is suspended; {ended} sign-in(s) ended.")
