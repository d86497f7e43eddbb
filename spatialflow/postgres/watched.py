"""A connection that notices when its server has fallen silent, over TCP and over a Unix socket alike.

libpq has no deadline for an answer. A host that is gone shows by TCP's own means, but a server that is stopped or whose
disk hangs keeps its sockets open: every thread would wait for it for ever. How long a statement may take is not ours to
say (imports have minutes), so the server is asked on a second connection whether it still takes any.
"""

import logging
import time
from collections.abc import Generator
from typing import Any, ClassVar

import psycopg

logger = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds without an answer after which the server is asked
ANSWERS_WITHIN = 3  # seconds it gets to take a new connection; psycopg knows whole ones, and no fewer than two
PAUSE = 1.0  # seconds for which one server found silent is not asked again


class ServerIsSilent(psycopg.OperationalError):
    """Postgres keeps its connections open and answers on none."""


class WatchedConnection(psycopg.Connection[Any]):
    """A connection whose statements wait for as long as the server takes new connections.

    Once it does not, every thread of the process is told at once (`is_known_silent`), and one at a time tries again.
    """

    _silent_until: ClassVar[float] = 0.0  # monotonic; 0 while nothing is wrong

    @classmethod
    def is_known_silent(cls) -> bool:
        return time.monotonic() < cls._silent_until

    @classmethod
    def open(cls, parameters: dict[str, Any]) -> "WatchedConnection":
        """Return a new connection. Raises `ServerIsSilent`, at once while another thread is finding that out."""
        if cls.is_known_silent():
            raise ServerIsSilent("Postgres was silent a moment ago")
        was_silent = cls._silent_until != 0.0
        if was_silent:  # it is our turn to try; the others need not hang with us
            cls._silent_until = time.monotonic() + ANSWERS_WITHIN + PAUSE
            parameters = {**parameters, "connect_timeout": ANSWERS_WITHIN}
        try:
            connection = cls.connect(**parameters)
        except psycopg.errors.ConnectionTimeout:
            cls._note_silence()
            raise
        except psycopg.Error:
            cls._silent_until = 0.0  # it refused: whatever is wrong, it speaks
            raise
        if was_silent:
            cls._silent_until = 0.0
            logger.warning("Postgres answers again")
        return connection

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        """Run one exchange with the server. Raises `ServerIsSilent` PATIENCE + ANSWERS_WITHIN seconds after it fell
        silent.
        """
        return super().wait(self._watched(gen), *arguments, **options)

    def _watched(self, exchange: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Pass psycopg's exchange through; psycopg comes back without news ten times a second."""
        try:
            wants = next(exchange)
            ask_at = time.monotonic() + PATIENCE
            while True:
                ready = yield wants
                if ready:
                    ask_at = time.monotonic() + PATIENCE
                elif time.monotonic() > ask_at:
                    self._refuse_silence()
                    ask_at = time.monotonic() + PATIENCE
                wants = exchange.send(ready)
        except StopIteration as end:
            return end.value

    def _refuse_silence(self) -> None:
        """Ask the server for a second connection. A refusal is an answer, too."""
        if not self.is_known_silent():
            try:
                psycopg.connect(self.info.dsn, password=self.info.password, connect_timeout=ANSWERS_WITHIN).close()
            except psycopg.errors.ConnectionTimeout:
                self._note_silence()
            except psycopg.Error:
                return
            else:
                return
        self.pgconn.finish()
        raise ServerIsSilent("Postgres does not answer")

    @classmethod
    def _note_silence(cls) -> None:
        if not cls.is_known_silent():
            logger.error("Postgres is silent; requests are refused until it answers")
        cls._silent_until = time.monotonic() + PAUSE
