"""Do what is due for single sign-on."""

import logging
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, connection

from sso.maintenance import run

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Check the records of proven domains, read identity providers' metadata, warn of certificates that end, delete "
        "what has expired. To be run every hour; several at once do no harm. Exits 1 when the database is gone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--every", type=int, metavar="SECONDS", help="Do not end: do it again that much later, whatever happens."
        )

    def handle(self, **options: Any) -> None:
        if options["every"] is None:
            self._run()
            return
        while True:
            try:
                self._run()
            except CommandError as error:
                logger.error("%s Trying again in %s s.", error, options["every"])
            connection.close()
            time.sleep(options["every"])

    def _run(self) -> None:
        try:
            for line in run():
                self.stdout.write(line)
                self.stdout.flush()
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database does not answer ({type(error).__name__}).") from None
