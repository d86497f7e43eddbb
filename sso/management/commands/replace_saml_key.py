"""Replace the key of a workspace's service provider (SAML), step by step."""

from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.named import get_workspace
from accounts.models import Workspace
from sso.saml import key_replacement
from sso.saml.certificates import describe
from sso.saml.key_replacement import StepRefused

STEPS: dict[str, Callable[[Workspace], None]] = {
    "prepare": key_replacement.prepare,
    "switch": key_replacement.switch,
    "back": key_replacement.go_back,
    "finish": key_replacement.finish,
    "at-once": key_replacement.at_once,
}


class Command(BaseCommand):
    help = (
        "Replace the key of a workspace's service provider: prepare publishes the next certificate, switch signs by "
        "it, back undoes that, finish lets the former key go. at-once is for a key that leaked. Without a step, and "
        "after each, prints which keys there are."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("step", nargs="?", choices=list(STEPS))

    def handle(self, **options: Any) -> None:
        workspace = get_workspace(options["slug"])
        if options["step"]:
            try:
                STEPS[options["step"]](workspace)
            except StepRefused as reason:
                raise CommandError(str(reason)) from None
        for key in key_replacement.keys_of(workspace):
            self.stdout.write(f"{key.state}, made {key.created_at:%Y-%m-%d}, {describe(key.certificate).fingerprint}")
            self.stdout.write(key.certificate.strip())
