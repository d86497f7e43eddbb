"""Counting what credentials do: the plan's limit an hour, and the record of use.

In Postgres both are one row, written by one upsert a request. Where Redis counts the limits, the record is gathered
in the process and written every second; what a stopped process had not written yet is missing from the record, never
from the limit.
"""

import logging
import threading
import time
import uuid
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import connections
from django.db.models import Sum
from django.db.models.functions import Coalesce
from rest_framework.request import Request

from accounts.models import CredentialUsage
from accounts.principal import Client, Principal
from accounts.scopes import SCOPE_BITS
from spatialflow.throttling import Usage, apply

logger = logging.getLogger(__name__)

HOUR = 3600
WRITE_EVERY_SECONDS = 1

INSERT = """
INSERT INTO accounts_credentialusage AS usage
    (credential_id, started_at, workspace_id, requests, refusals,
     last_used_at, last_refused_at, last_ip, last_user_agent, scopes_used)
"""
# `elsewhere` is what a sign-in did in the workspaces that it was in before, this hour: it does not change any more, but
# for requests that were being answered at that moment.
ELSEWHERE = """
WITH elsewhere AS (
    SELECT coalesce(sum(requests), 0)::int AS requests FROM accounts_credentialusage
    WHERE credential_id = %(credential)s AND started_at = %(started_at)s AND workspace_id <> %(workspace)s
)"""
SPENT = "usage.requests + (SELECT requests FROM elsewhere)"
COUNT = f"""{ELSEWHERE}{INSERT}
SELECT %(credential)s, %(started_at)s, %(workspace)s, (requests < %(limit)s)::int, (requests >= %(limit)s)::int,
       now(), CASE WHEN requests >= %(limit)s THEN now() END, %(ip)s::inet, %(user_agent)s,
       CASE WHEN requests < %(limit)s THEN %(scopes_used)s ELSE 0 END
FROM elsewhere
ON CONFLICT (credential_id, started_at, workspace_id) DO UPDATE SET
    requests = usage.requests + ({SPENT} < %(limit)s)::int,
    refusals = usage.refusals + ({SPENT} >= %(limit)s)::int,
    last_refused_at = CASE WHEN {SPENT} >= %(limit)s THEN now() ELSE usage.last_refused_at END,
    last_used_at = now(), last_ip = EXCLUDED.last_ip, last_user_agent = EXCLUDED.last_user_agent,
    scopes_used = usage.scopes_used | CASE WHEN {SPENT} < %(limit)s THEN %(scopes_used)s ELSE 0 END
RETURNING {SPENT}, COALESCE(last_refused_at = now(), false)
"""  # noqa: S608 - made of constants
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


def charge_credential(request: Request, principal: Principal, used_scope: str | None = None) -> None:
    """Count one request of a credential in its hour, and which scope of a key's it uses. Raises `Throttled` when its
    hourly limit is used up.

    Hours are fixed windows that begin at a minute of the credential's own, so that not all keys start anew at once.
    """
    client = Client.of(request)
    limit = principal.hourly_limit
    now = int(time.time())
    started = hour_start(principal.credential_id, now)
    scopes_used = SCOPE_BITS.get(used_scope or "", 0)
    row = {
        "credential": principal.credential_id,
        "started_at": datetime.fromtimestamp(started, UTC),
        "workspace": principal.workspace_id,
        "ip": client.ip,
        "user_agent": client.user_agent,
    }
    if settings.REDIS_URL:
        key = f"plan:{principal.credential_id}:{started}"
        counters = caches[settings.RATELIMIT_USE_CACHE]
        count = counters.count(key, 1, HOUR)
        if count > limit:
            counters.take_back(key, HOUR)  # what was refused takes no room from a limit that is raised later
        record.add(row, scopes_used, refused=count > limit)
    else:
        with connections["counters"].cursor() as cursor:
            cursor.execute(COUNT, {**row, "limit": limit, "scopes_used": scopes_used})
            requests, refused = cursor.fetchone()
        count = limit + 1 if refused else requests
    apply(request, Usage(limit, count, started + HOUR - now, "plan"))


def hour_start(credential_id: uuid.UUID, moment: int) -> int:
    """Return when the hour of the credential began that a moment lies in, both in seconds since 1970."""
    return moment - (moment - zlib.crc32(credential_id.bytes)) % HOUR


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
        row["used_at"] = datetime.now(UTC)
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
