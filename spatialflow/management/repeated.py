"""Commands for a scheduler, which can also stay and repeat themselves."""

import logging
import re
import time
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from spatialflow.errors import is_outage

logger = logging.getLogger(__name__)

DAY = 24 * 3600  # seconds
NOT_MIGRATED = ("42P01", "42703")  # SQLSTATE: there is no such table, no such column


@contextmanager
def outages_told() -> Iterator[None]:
    """Let a command end with a sentence, a CommandError, where its database goes away, takes no writes any more or has
    not been migrated.
    """
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        if getattr(error.__cause__, "sqlstate", None) in NOT_MIGRATED:
            raise CommandError("The database lacks tables of this version: run `manage.py migrate` first.") from None
        if not is_outage(error):
            raise
        lacks = "does not answer" if isinstance(error, OperationalError | InterfaceError) else "takes no writes"
        raise CommandError(f"The database {lacks} ({type(error).__name__}).") from None


def _pause(text: str) -> int:
    """Return whole seconds, from one to a day. Raises ArgumentTypeError: sleep takes no less, and not any number."""
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= DAY:
        raise ArgumentTypeError(f"must be a whole number of seconds from 1 to {DAY}.")
    return int(text)


class RepeatedCommand(BaseCommand):
    """A command that does what is due, once or, with --every, again and again whatever happens."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--every", type=_pause, metavar="SECONDS", help="Do not end: do it again that much later, whatever happens."
        )

    def act(self) -> Iterable[str]:
        """Do what is due, and yield a line for each thing done."""
        raise NotImplementedError

    def handle(self, **options: Any) -> None:
        if options["every"] is None:
            self._run()
            return
        while True:
            try:
                self._run()
            except CommandError as error:
                logger.error("%s Trying again in %s s.", error, options["every"])
            connections.close_all()
            time.sleep(options["every"])

    def _run(self) -> None:
        with outages_told():
            for line in self.act():
                self.stdout.write(line)
                self.stdout.flush()
