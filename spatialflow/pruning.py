"""What is removed when its time is over, by `manage.py prune`: each app registers its own chores in its AppConfig.

A chore deletes in small batches, each a short transaction of its own, and passes over rows that somebody else holds. So
it may be stopped at any moment, run as often as one likes, and run in several places at once beside the service. The
audit trail has no chore and never gets one.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connection, connections, transaction
from django.db.models import QuerySet

from spatialflow.counters import FORGET_EXPIRED

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 500
LOCK_PATIENCE = "SET LOCAL lock_timeout = '1s'"  # nobody waits for us for longer than we wait for others


class ChoreFailed(Exception):
    """One chore or more could not be finished; the others were, and the log says why."""


@dataclass(frozen=True)
class Chore:
    """One kind of row that is removed. `batches` does it by the connection `using`, and yields how many rows each
    batch has removed.
    """

    what: str
    batches: Callable[[], Iterable[int]]
    using: str = DEFAULT_DB_ALIAS


def prune() -> Iterator[str]:
    """Do every chore and yield a line for each that had something to do. What fails is logged and stops no other chore:
    then raises `ChoreFailed` at the end. A database that is gone raises what that raises.
    """
    failed = []
    for chore in chores:
        removed = 0
        try:
            for batch in chore.batches():
                removed += batch
        except (DatabaseError, InterfaceError) as error:
            by = connections[chore.using]
            if by.connection is None or not by.is_usable():
                raise
            logger.error("pruning %s failed (%s)", chore.what, type(error).__name__)
            failed.append(chore.what)
        if removed:
            yield f"{chore.what}: {removed}"
    if failed:
        raise ChoreFailed(f"Not finished: {', '.join(failed)}. See the log; the next run goes on with it.")


def delete_in_batches(doomed: Callable[[], QuerySet]) -> Callable[[], Iterator[int]]:
    """Return the batches of a chore that deletes `doomed()`, whatever hangs on those rows with them."""

    def batches() -> Iterator[int]:
        while deleted := delete_some(doomed()):
            yield deleted

    return batches


@transaction.atomic
def delete_some(doomed: QuerySet) -> int:
    """Delete some of the rows and return how many. They are locked before: none becomes alive between look and act."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_PATIENCE)
    locked = list(doomed.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:ROWS_AT_ONCE])
    if locked:
        doomed.model._base_manager.filter(pk__in=locked).delete()
    return len(locked)


def _expired_counters() -> Iterator[int]:
    with connections["counters"].cursor() as cursor:
        cursor.execute(FORGET_EXPIRED)
        while cursor.rowcount:
            yield cursor.rowcount
            cursor.execute(FORGET_EXPIRED)


chores = [Chore("counters", _expired_counters, using="counters")]
