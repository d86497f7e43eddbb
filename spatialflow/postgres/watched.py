"""A connection that notices when its server has fallen silent, over TCP and over a Unix socket alike.

libpq has no deadline for an answer. A host that is gone shows by TCP's own means, but a server that is stopped or whose
disk hangs keeps its sockets open: every thread would wait for it for ever. How long a statement may take is not ours to
say (imports have minutes), so the server is asked on a second connection whether it still answers any.
"""

import logging
import time
from collections.abc import Generator
from typing import Any, ClassVar

import psycopg

logger = logging.getLogger(__name__)


class ServerIsSilent(psycopg.OperationalError):
    """Postgres keeps its connections open and answers on none."""


class WatchedConnection(psycopg.Connection[Any]):
    """A connection whose statements wait for as long as the server answers on a new one.

    Once it does not, every thread of the process is told at once (`is_known_silent`), and one at a time tries again.
    """

    patience: float = 2.0  # seconds without an answer after which the server is asked anew
    answers_within: ClassVar[int] = 3  # seconds it gets; to connect, psycopg knows whole ones, and at least two
    pause: ClassVar[float] = 1.0  # seconds for which one server found silent is not asked again
    _silent_until: ClassVar[float] = 0.0  # monotonic; 0 while nothing is wrong

    @classmethod
    def is_known_silent(cls) -> bool:
        return time.monotonic() < cls._silent_until

    @classmethod
    def open(cls, parameters: dict[str, Any]) -> "WatchedConnection":
        """Return a new connection in autocommit. Raises `ServerIsSilent`, at once while another thread is finding that
        out, and psycopg's OperationalError.
        """
        if cls.is_known_silent():
            raise ServerIsSilent("Postgres was silent a moment ago")
        was_silent, began = cls._silent_until != 0.0, time.monotonic()
        if was_silent:  # it is our turn to try; the others need not hang with us
            hosts = str(parameters.get("host", "")).count(",") + 1
            cls._silent_until = began + hosts * cls.answers_within + cls.patience + cls.pause
            parameters = {**parameters, "connect_timeout": cls.answers_within}
        try:
            connection = cls.connect(**parameters, autocommit=True)
            if was_silent:  # a pooler takes connections while the server behind it is silent
                connection.execute("SELECT 1")
        except psycopg.Error:
            if time.monotonic() - began < cls.patience:
                cls._silent_until = 0.0  # it refused: whatever is wrong, it speaks
            else:  # of several hosts psycopg names the last one's reason; another one kept us waiting
                cls._note_silence()
            raise
        if was_silent:
            cls._silent_until = 0.0
            logger.warning("Postgres answers again")
        return connection

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        """Run one exchange with the server. Raises `ServerIsSilent` `patience` + `answers_within` seconds after it fell
        silent.
        """
        return super().wait(self._watched(gen), *arguments, **options)

    def _watched(self, exchange: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Pass psycopg's exchange through; psycopg comes back without news ten times a second."""
        try:
            wants = next(exchange)
            ask_at = time.monotonic() + self.patience
            while True:
                ready = yield wants
                if ready:
                    ask_at = time.monotonic() + self.patience
                elif time.monotonic() > ask_at:
                    self._refuse_silence()
                    ask_at = time.monotonic() + self.patience
                wants = exchange.send(ready)
        except StopIteration as end:
            return end.value

    def _refuse_silence(self) -> None:
        """Return if the server answers others. Else end the connection and raise `ServerIsSilent`."""
        if self.is_known_silent() or not self._answers_others():
            self._give_up()

    def _answers_others(self) -> bool:
        """Ask something on a second connection: to take it is no answer where a pooler takes it. A refusal is one."""
        try:
            with _Question.connect(
                self.info.dsn, password=self.info.password, connect_timeout=self.answers_within, autocommit=True
            ) as question:
                question.patience = self.answers_within
                question.execute("SELECT 1")
        except (psycopg.errors.ConnectionTimeout, ServerIsSilent):
            self._note_silence()
            return False
        except psycopg.Error:
            return True
        return True

    def _give_up(self) -> None:
        self.pgconn.finish()
        raise ServerIsSilent("Postgres does not answer")

    @classmethod
    def _note_silence(cls) -> None:
        if not cls.is_known_silent():
            logger.error("Postgres is silent; requests are refused until it answers")
        cls._silent_until = time.monotonic() + cls.pause


class _Question(WatchedConnection):
    """The second connection: where it gets no answer, nobody is asked in turn."""

    def _refuse_silence(self) -> None:
        self._give_up()
