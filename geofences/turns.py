"""Who may import or export now. One file of a workspace at a time in each direction, few in all, and one in this
process, so that whoever sends or reads slowly leaves threads and connections to everybody else.
"""

import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import Error, connection, transaction

from spatialflow.errors import Conflict, Unavailable

# At the same time, over all processes: a file keeps one thread and one core busy.
SLOTS = 2
EXPORT_SLOTS = 2
# First halves of advisory locks' keys, any numbers of our own.
LOCK_WORKSPACE, LOCK_SLOT = 0x6765_6F66, 0x6765_6F73
LOCK_EXPORTING, LOCK_EXPORT_SLOT = 0x6765_6F78, 0x6765_6F79
LOCK_BULK = 0x6765_6F62

RETRY_AFTER = {"Retry-After": "5"}

# A thread that waits for its client cannot be interrupted, even when Postgres has ended its transaction.
_import_place = threading.BoundedSemaphore(1)
_export_place = threading.BoundedSemaphore(1)


class ImportUnderWay(Conflict):
    default_detail = "Another import into this workspace is under way; wait until it has ended."
    default_code = "import_under_way"


class ImportsBusy(Unavailable):
    default_detail = "Other imports are under way; try again in some seconds."
    default_code = "imports_busy"


class ExportUnderWay(Conflict):
    default_detail = "Another export of this workspace is under way; wait until it has ended."
    default_code = "export_under_way"


class ExportsBusy(Unavailable):
    default_detail = "Other exports are under way; try again in some seconds."
    default_code = "exports_busy"


@contextmanager
def import_turn(workspace_id: uuid.UUID, max_idle_seconds: int = 0) -> Iterator[None]:
    """Hold, for the transaction that this block is, the workspace's turn to import and one of the few slots in all.

    Postgres ends the transaction and frees the slot when the sender keeps it waiting for `max_idle_seconds`; 0 is
    forever. Raises ImportUnderWay, ImportsBusy.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if not _take(cursor, "pg_try_advisory_xact_lock", LOCK_WORKSPACE, second_key(workspace_id)):
            raise ImportUnderWay(headers=RETRY_AFTER)
        with _place(_import_place, ImportsBusy):
            if not any(_take(cursor, "pg_try_advisory_xact_lock", LOCK_SLOT, slot) for slot in range(SLOTS)):
                raise ImportsBusy()
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{max_idle_seconds}s'")
            yield


class ExportTurn:
    """The workspace's turn to export and one of the few slots in all, held until `end`.

    The locks are the connection's: what is noted in the audit trail meanwhile is committed before the file begins.
    Making one raises ExportUnderWay, ExportsBusy.
    """

    def __init__(self, workspace_id: uuid.UUID) -> None:
        self._locks: list[tuple[int, int]] = []
        self._has_place = False
        try:
            if not self._hold(LOCK_EXPORTING, [second_key(workspace_id)]):
                raise ExportUnderWay(headers=RETRY_AFTER)
            self._has_place = _export_place.acquire(blocking=False)
            if not self._has_place or not self._hold(LOCK_EXPORT_SLOT, range(EXPORT_SLOTS)):
                raise ExportsBusy()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Free the locks and the place; what is free already stays so."""
        try:
            # A connection that has ended has no locks any more.
            with suppress(Error), connection.cursor() as cursor:
                while self._locks:
                    cursor.execute("SELECT pg_advisory_unlock(%s, %s)", self._locks.pop())
        finally:
            self._leave()

    def __del__(self) -> None:
        # Servers close what they answer; a turn is forgotten in a crash only. It may be collected in the middle of
        # another statement of this connection, where one of ours would wait for ever: the locks end with it.
        self._leave()

    def _hold(self, first_key: int, second_keys: Iterable[int]) -> bool:
        """Take the first free lock of these for the connection, note it, and return whether there was one."""
        with connection.cursor() as cursor:
            for second_key in second_keys:
                if _take(cursor, "pg_try_advisory_lock", first_key, second_key):
                    self._locks.append((first_key, second_key))
                    return True
        return False

    def _leave(self) -> None:
        if self._has_place:
            self._has_place = False
            _export_place.release()


@contextmanager
def _place(place: threading.BoundedSemaphore, refusal: type[Unavailable]) -> Iterator[None]:
    if not place.acquire(blocking=False):
        raise refusal()
    try:
        yield
    finally:
        place.release()


def _take(cursor: Any, function: str, first_key: int, second_key: int) -> bool:
    cursor.execute(f"SELECT {function}(%s, %s)", [first_key, second_key])
    return bool(cursor.fetchone()[0])


def second_key(workspace_id: uuid.UUID) -> int:
    """Return the second half of an advisory lock's key that stands for a workspace."""
    return workspace_id.int % 2**31
