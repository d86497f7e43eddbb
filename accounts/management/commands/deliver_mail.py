"""Send the mail that is pending."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.outbox import deliver_pending


class Command(BaseCommand):
    help = "Send the mail that is due now. The server does so by itself; this is for a shell or a scheduler."

    def handle(self, **options: Any) -> None:
        self.stdout.write(f"{deliver_pending()} sent.")
