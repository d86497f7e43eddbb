"""Counting what credentials do: the plan's limit an hour, and the record of use.

In Postgres both are one row. The statement that finds a credential writes it as well (`counting`); COUNT does where the
credential is known already. Where Redis counts the limits, the record is gathered in the process and written every
second; what a stopped process had not written yet is missing from the record, never from the limit.
"""

import logging
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from django.conf import settings
from django.core.cache import caches
from django.db import connection, connections
from django.db.models import Sum
from django.db.models.functions import Coalesce
from rest_framework.request import Request

from accounts.models import CredentialUsage
from accounts.principal import Client, Principal
from accounts.scopes import READING_METHODS, SCOPE_BITS, asked_scope, holders_of
from spatialflow import clock
from spatialflow.throttling import Usage, apply

logger = logging.getLogger(__name__)

HOUR = 3600
WRITE_EVERY_SECONDS = 1

INSERT = """
INSERT INTO accounts_credentialusage AS usage
    (credential_id, started_at, workspace_id, requests, refusals,
     last_used_at, last_refused_at, last_ip, last_user_agent, scopes_used)
"""
# What `hour_start` says in Python.
HOUR_START = """
SELECT %(now)s::bigint - mod(%(now)s::bigint - get_byte(uuid_send(credential_id), 14) * 256
                             - get_byte(uuid_send(credential_id), 15), 3600) AS hour_start
"""
# What a sign-in did in the workspaces that it was in before, this hour: it does not change any more, but for requests
# that were being answered at that moment.
ELSEWHERE = """
SELECT coalesce(sum(requests), 0)::int FROM accounts_credentialusage AS before
WHERE before.credential_id = credential.credential_id AND before.started_at = to_timestamp(hour_start)
  AND before.workspace_id <> credential.workspace_id
"""
PLAN_LIMIT = "(%(plan_limits)s::jsonb->>w.plan)::int"  # of the workspace w


def counting(find: str) -> str:
    """Return the statement that finds one credential by `find` and counts a request of it, in one trip.

    `find` says of a credential, among what else is asked: credential_id, workspace_id, hourly_limit, is_refused (such a
    one is not counted), uses_scope (whether it has the scope that is asked for), has_moved (whether it was in other
    workspaces before). The answer is all that `find` says, some of our own, and at last the limit, the seconds until
    the hour ends, and the count with this request: NULL where it was not counted.

    Its transaction does not wait for the disk, for the last milliseconds of counts may be lost: it must be its own.
    """
    return f"""
WITH found AS (
    SELECT credential.*, hour_start, CASE WHEN has_moved THEN ({ELSEWHERE}) ELSE 0 END AS elsewhere
    FROM ({find}) AS credential CROSS JOIN LATERAL ({HOUR_START}) AS hour
), counted AS ({INSERT}
    SELECT credential_id, to_timestamp(hour_start), workspace_id, is_within::int, (NOT is_within)::int,
           statement_timestamp(), CASE WHEN NOT is_within THEN statement_timestamp() END, %(ip)s::inet, %(user_agent)s,
           CASE WHEN is_within AND uses_scope THEN %(scope_bit)s ELSE 0 END
    FROM (SELECT *, elsewhere < hourly_limit AS is_within FROM found) AS first_one
    WHERE NOT is_refused AND set_config('synchronous_commit', 'off', true) = 'off'
    ON CONFLICT (credential_id, started_at, workspace_id) DO UPDATE SET
        (requests, refusals, last_refused_at, scopes_used) = (
            SELECT usage.requests + is_within::int, usage.refusals + (NOT is_within)::int,
                   CASE WHEN is_within THEN usage.last_refused_at ELSE EXCLUDED.last_used_at END,
                   usage.scopes_used | CASE WHEN is_within AND uses_scope THEN %(scope_bit)s ELSE 0 END
            FROM (SELECT uses_scope, usage.requests + elsewhere < hourly_limit AS is_within FROM found) AS next_one),
        last_used_at = EXCLUDED.last_used_at, last_ip = EXCLUDED.last_ip, last_user_agent = EXCLUDED.last_user_agent
    RETURNING requests, last_refused_at IS NOT DISTINCT FROM last_used_at AS is_beyond
)
SELECT found.*, hourly_limit, (hour_start + 3600 - %(now)s::bigint)::int,
       CASE WHEN is_beyond THEN hourly_limit + 1 ELSE requests + elsewhere END
FROM found LEFT JOIN counted ON true
"""  # noqa: S608 - made of constants


COUNT = counting("""
    SELECT %(credential)s::uuid AS credential_id, %(workspace)s::uuid AS workspace_id, %(limit)s::int AS hourly_limit,
           false AS is_refused, true AS uses_scope, true AS has_moved
""")
ADD = f"""{INSERT}
VALUES (%(credential)s, %(started_at)s, %(workspace)s, %(requests)s, %(refusals)s,
        %(used_at)s, %(refused_at)s, %(ip)s, %(user_agent)s, %(scopes_used)s)
ON CONFLICT (credential_id, started_at, workspace_id) DO UPDATE SET
    requests = usage.requests + EXCLUDED.requests,
    refusals = usage.refusals + EXCLUDED.refusals,
    last_refused_at = GREATEST(usage.last_refused_at, EXCLUDED.last_refused_at),
    last_used_at = GREATEST(usage.last_used_at, EXCLUDED.last_used_at),
    scopes_used = usage.scopes_used | EXCLUDED.scopes_used,
    (last_ip, last_user_agent) = (
        SELECT last_ip, last_user_agent
        FROM (VALUES (usage.last_used_at, usage.last_ip, usage.last_user_agent),
                     (EXCLUDED.last_used_at, EXCLUDED.last_ip, EXCLUDED.last_user_agent))
             AS uses (used_at, last_ip, last_user_agent)
        ORDER BY used_at DESC LIMIT 1)
"""  # noqa: S608


def is_counted_when_found(request: Request) -> bool:
    """Return whether authentication counts the credential that it finds: the view charges it, and Postgres counts."""
    return not settings.REDIS_URL and getattr(request.parser_context.get("view"), "has_general_limits", False)


def find_credential(
    find: str, find_and_count: str, names: dict[str, Any], counted_for: Request | None
) -> Sequence[Any] | None:
    """Return the row of the statement `find` with the parameters `names`, None where there is none; one trip. With a
    request that is `find_and_count`, a statement of `counting` over the same columns.
    """
    if counted_for is not None:
        return _find_and_count(counted_for, find_and_count, names)
    with connection.cursor() as cursor:
        cursor.execute(find, names)
        row: Sequence[Any] | None = cursor.fetchone()
    return row


def _find_and_count(request: Request, statement: str, names: dict[str, Any]) -> Sequence[Any] | None:
    """Return the row, and keep what was counted for `charge_credential`. `find` may use four parameters more."""
    scope = asked_scope(request, request.parser_context["view"])
    scopes_of_keys, roles = holders_of(scope)
    row: Sequence[Any] | None = _count(
        request,
        scope,
        statement,
        names
        | {
            "plan_limits": orjson.dumps(settings.PLAN_LIMITS).decode(),
            "scopes_of_keys": scopes_of_keys,
            "roles": roles,
            "only_reads": request.method in READING_METHODS,
        },
    )
    if row is not None and row[-1] is not None:
        request.counted_use = _usage(row)
    return row


def charge_credential(request: Request, principal: Principal, used_scope: str | None = None) -> None:
    """Count one request of a credential in its hour, unless `find_credential` did, and which scope of a key's it uses.
    Raises `Throttled` when its hourly limit is used up. Not within a transaction (`counting`).

    Hours are fixed windows that begin at a minute of the credential's own, so that not all keys start anew at once.
    """
    usage = request.__dict__.pop("counted_use", None)
    if usage is None and settings.REDIS_URL:
        usage = _count_in_redis(request, principal, used_scope)
    elif usage is None:
        known = {"credential": principal.credential_id, "workspace": principal.workspace_id}
        usage = _usage(_count(request, used_scope, COUNT, {**known, "limit": principal.hourly_limit}))
    apply(request, usage)


def _count(request: Request, scope: str | None, statement: str, parameters: dict[str, Any]) -> Any:
    """Return the row of a statement of `counting`."""
    client = Client.of(request)
    now = {"now": int(clock.timestamp()), "ip": client.ip, "user_agent": client.user_agent}
    with connection.cursor() as cursor:
        cursor.execute(statement, {**parameters, **now, "scope_bit": SCOPE_BITS.get(scope or "", 0)})
        return cursor.fetchone()


def _usage(row: Sequence[Any]) -> Usage:
    limit, resets_in, count = row[-3:]
    return Usage(limit, count, resets_in, "plan")


def _count_in_redis(request: Request, principal: Principal, used_scope: str | None) -> Usage:
    client = Client.of(request)
    limit = principal.hourly_limit
    now = int(clock.timestamp())
    started = hour_start(principal.credential_id, now)
    key = f"plan:{principal.credential_id}:{started}"
    counters = caches[settings.RATELIMIT_USE_CACHE]
    count = counters.count(key, 1, HOUR)
    if count > limit:
        counters.counted_by.take_back(key)  # what was refused takes no room from a limit that is raised later
    row = {
        "credential": principal.credential_id,
        "started_at": datetime.fromtimestamp(started, UTC),
        "workspace": principal.workspace_id,
        "ip": client.ip,
        "user_agent": client.user_agent,
    }
    record.add(row, SCOPE_BITS.get(used_scope or "", 0), refused=count > limit)
    return Usage(limit, count, started + HOUR - now, "plan")


def hour_start(credential_id: uuid.UUID, moment: int) -> int:
    """Return when the hour of the credential began that a moment lies in, both in seconds since 1970. HOUR_START is the
    same in SQL.
    """
    return moment - (moment - int.from_bytes(credential_id.bytes[-2:])) % HOUR


def list_hours(credential_id: uuid.UUID, since: datetime) -> list[CredentialUsage]:
    """Return the hours since then that a credential was used in, oldest first, with what this process has still to
    write down. One query.
    """
    if settings.REDIS_URL:
        record.write()
    hours = CredentialUsage.objects.filter(credential_id=credential_id, started_at__gte=since)
    return list(hours.order_by("started_at"))


def count_uses(credential_id: uuid.UUID, since: datetime) -> int:
    """Return how many requests a credential has made in the hours that began since then, with what this process has
    still to write down.
    """
    if settings.REDIS_URL:
        record.write()
    hours = CredentialUsage.objects.filter(credential_id=credential_id, started_at__gte=since)
    return hours.aggregate(total=Coalesce(Sum("requests"), 0))["total"]


def forget_who_used(credential_ids: Any) -> None:
    """Let the counts of these credentials stand without the addresses and clients that they were used from."""
    nowhere = "0.0.0.0"  # noqa: S104 - what client_ip() gives the nameless, not a listening address
    CredentialUsage.objects.filter(credential_id__in=credential_ids).update(last_ip=nowhere, last_user_agent="")


@dataclass
class Tally:
    """What one credential did in one workspace in one hour since the last write."""

    row: dict[str, Any]
    requests: int = 0
    refusals: int = 0
    refused_at: datetime | None = None
    scopes_used: int = 0


class UsageRecord:
    """The uses that this process has counted and not written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[tuple[Any, ...], Tally] = {}
        self._writer: threading.Thread | None = None

    def add(self, row: dict[str, Any], scopes_used: int, refused: bool) -> None:
        row["used_at"] = clock.now()
        with self._lock:
            tally = self._tallies.setdefault((row["credential"], row["started_at"], row["workspace"]), Tally(row))
            tally.row = row
            if refused:
                tally.refusals += 1
                tally.refused_at = row["used_at"]
            else:
                tally.requests += 1
                tally.scopes_used |= scopes_used
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_forever, name="usage-record", daemon=True)
                self._writer.start()

    def write(self) -> None:
        """Add what was gathered to the rows. Keeps it for the next time when that fails."""
        with self._lock:
            tallies, self._tallies = self._tallies, {}
        try:
            with connections["counters"].cursor() as cursor:
                cursor.executemany(ADD, [{**t.row, **vars(t)} for t in sorted(tallies.values(), key=_in_one_order)])
        except Exception:
            self._take_back(tallies)
            raise

    def _take_back(self, tallies: dict[tuple[Any, ...], Tally]) -> None:
        with self._lock:
            for key, tally in tallies.items():
                later = self._tallies.setdefault(key, Tally(tally.row))
                later.requests += tally.requests
                later.refusals += tally.refusals
                later.refused_at = later.refused_at or tally.refused_at
                later.scopes_used |= tally.scopes_used

    def _write_forever(self) -> None:
        while True:
            time.sleep(WRITE_EVERY_SECONDS)
            try:
                if self._tallies:
                    self.write()
            except Exception as error:
                logger.warning("the record of use waits for the database (%s)", type(error).__name__)
                connections["counters"].close()


def _in_one_order(tally: Tally) -> tuple[str, str]:
    """Return what rows are written in the order of, so that two processes never wait for each other's rows."""
    return str(tally.row["credential"]), str(tally.row["workspace"])


record = UsageRecord()
