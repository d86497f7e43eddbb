"""Check the audit trail's chain of hashes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.audit import GENESIS
from accounts.audit_chain import broken_links
from accounts.models import AuditHead
from spatialflow.management.repeated import outages_told


class Command(BaseCommand):
    help = "Find changed, removed, inserted or cut-off rows of the audit trail. Prints the head; exits 1 on a break."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--head", help="A hash noted earlier: the trail must still contain the row that it belongs to."
        )

    def handle(self, **options: Any) -> None:
        with outages_told():
            head = AuditHead.objects.filter(id=1).first()  # before the check, so that what is printed was checked
            breaks = list(broken_links(options["head"] and options["head"].strip().lower()))
        for sentence in breaks:
            self.stderr.write(sentence)
        if breaks:
            raise CommandError(f"The audit trail is broken in {len(breaks)} place(s).")
        count, digest = (head.sequence, bytes(head.hash)) if head else (0, GENESIS)
        self.stdout.write(f"The audit trail holds: {count} rows. Head: {digest.hex()}")
