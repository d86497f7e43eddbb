"""Replace the key of a workspace's service provider (SAML)."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.named import get_workspace
from sso.saml.keys import replace_key_pair


class Command(BaseCommand):
    help = (
        "Give a workspace's service provider a new key and print its certificate, which the administrators of its "
        "identity provider have to enter there at the same time. Acts at once; the old key is gone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")

    def handle(self, **options: Any) -> None:
        self.stdout.write(replace_key_pair(get_workspace(options["slug"])))
