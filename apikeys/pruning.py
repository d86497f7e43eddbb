"""What API keys remove when its time is over (spatialflow/pruning.py), and how their use of long ago is added up.

A key's use is told by hour for LONGEST_WINDOW_DAYS and in all for good. Hours that are over are folded into sums on the
key's row, once a day, so that a list of keys adds up two days of each at most, however long they have been at work.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apikeys.models import NEVER, ApiKey
from apikeys.usage import LONGEST_WINDOW_DAYS
from spatialflow.pruning import LOCK_PATIENCE, ROWS_AT_ONCE, Chore, delete_in_batches

HOURS_KEPT = timedelta(days=LONGEST_WINDOW_DAYS + 2)
REVOKED_KEPT = timedelta(days=90)
ONE_AT_A_TIME = 0x5F10_0002  # the number of the lock; any, as long as everybody takes the same one

# What an hour says does not change once it is a day old. A key that somebody else has folded meanwhile does not match
# any more, so no hour counts twice.
FOLD = """
UPDATE apikeys_apikey AS k
SET folded_requests = k.folded_requests + hours.requests, folded_refusals = k.folded_refusals + hours.refusals,
    folded_last_refused_at = GREATEST(k.folded_last_refused_at, hours.last_refused_at), folded_until = %(until)s
FROM (
    SELECT a.id, a.folded_until, sum(u.requests) AS requests, sum(u.refusals) AS refusals,
           max(u.last_refused_at) AS last_refused_at
    FROM apikeys_apikey a JOIN accounts_credentialusage u
        ON u.credential_id = a.id AND u.started_at >= a.folded_until AND u.started_at < %(until)s
    WHERE a.id = ANY(%(keys)s) GROUP BY a.id
) AS hours
WHERE k.id = hours.id AND k.folded_until = hours.folded_until
"""
END_OF_PAGE = """
SELECT max(started_at) FROM (
    SELECT started_at FROM accounts_credentialusage
    WHERE started_at > %(after)s AND started_at < %(before)s ORDER BY started_at LIMIT %(most)s
) AS page
"""
# What stays of a key that works: what was not folded, and the last, which tells when it was used last and from where.
DELETE_HOURS = """
DELETE FROM accounts_credentialusage AS u
WHERE u.started_at > %(after)s AND u.started_at <= %(end)s AND NOT EXISTS (
    SELECT FROM apikeys_apikey k
    WHERE k.id = u.credential_id AND k.revoked_at IS NULL AND (k.folded_until <= u.started_at OR NOT EXISTS (
        SELECT FROM accounts_credentialusage n WHERE n.credential_id = u.credential_id AND n.started_at > u.started_at
    ))
)
"""


def _fold() -> Iterator[int]:
    """Add the hours of every key up to yesterday's first to its sums, and yield of how many keys; delete nothing."""
    until = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    keys = ApiKey.objects.filter(revoked_at=None, folded_until__lt=until).order_by("id")
    page = list(keys.values_list("id", flat=True)[:ROWS_AT_ONCE])
    while page:
        folded = _alone(FOLD, {"until": until, "keys": page})
        if folded is None:
            return
        yield folded
        page = list(keys.filter(id__gt=page[-1]).values_list("id", flat=True)[:ROWS_AT_ONCE])


def _old_hours() -> Iterator[int]:
    """Delete the hours that nobody is shown any more, of all credentials, in one pass by age."""
    before, after = timezone.now() - HOURS_KEPT, NEVER
    while (end := _end_of_page(after, before)) is not None:
        deleted = _alone(DELETE_HOURS, {"after": after, "end": end})
        if deleted is None:
            return
        yield deleted
        after = end


def _end_of_page(after: datetime, before: datetime) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(END_OF_PAGE, {"after": after, "before": before, "most": ROWS_AT_ONCE})
        end: datetime | None = cursor.fetchone()[0]
    return end


@transaction.atomic
def _alone(statement: str, parameters: dict[str, Any]) -> int | None:
    """Run the statement and return how many rows it changed, or None where another process is at such work: two that
    took many rows in different orders would wait for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_PATIENCE)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def _revoked_keys() -> QuerySet:
    return ApiKey.objects.filter(revoked_at__lt=timezone.now() - REVOKED_KEPT)


CHORES = [
    Chore("keys whose use was added up", _fold),
    Chore("hours of use", _old_hours),
    Chore("revoked API keys", delete_in_batches(_revoked_keys)),
]
