"""Commands for a scheduler, which can also stay and repeat themselves."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from spatialflow.errors import is_outage

logger = logging.getLogger(__name__)


@contextmanager
def outages_told() -> Iterator[None]:
    """Let a command whose database goes away, or takes no writes any more, end with a sentence: a CommandError."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        if not is_outage(error):
            raise
        lacks = "does not answer" if isinstance(error, OperationalError | InterfaceError) else "takes no writes"
        raise CommandError(f"The database {lacks} ({type(error).__name__}).") from None


class RepeatedCommand(BaseCommand):
    """A command that does what is due, once or, with --every, again and again whatever happens."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--every", type=int, metavar="SECONDS", help="Do not end: do it again that much later, whatever happens."
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
