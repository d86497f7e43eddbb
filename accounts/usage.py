"""Counting what credentials do: one upsert a request is the plan limit's counter and the record of use at once."""

import time
import zlib
from datetime import UTC, datetime

from django.db import connections
from rest_framework.request import Request

from accounts.principal import Client, Principal
from spatialflow.throttling import Usage, apply

HOUR = 3600

COUNT = """
INSERT INTO accounts_credentialusage AS usage
    (credential_id, started_at, workspace_id, requests, refusals, last_used_at, last_ip, last_user_agent)
VALUES (%(credential)s, %(started_at)s, %(workspace)s, 1, 0, now(), %(ip)s, %(user_agent)s)
ON CONFLICT (credential_id, started_at) DO UPDATE SET
    requests = usage.requests + (usage.requests < %(limit)s)::int,
    refusals = usage.refusals + (usage.requests >= %(limit)s)::int,
    last_refused_at = CASE WHEN usage.requests >= %(limit)s THEN now() ELSE usage.last_refused_at END,
    last_used_at = now(), last_ip = EXCLUDED.last_ip, last_user_agent = EXCLUDED.last_user_agent
RETURNING requests, COALESCE(last_refused_at = now(), false)
"""


def charge_credential(request: Request, principal: Principal) -> None:
    """Count one request of a credential in its hour. Raises `Throttled` when its hourly limit is used up.

    Hours are fixed windows that begin at a minute of the credential's own, so that not all keys start anew at once.
    """
    client = Client.of(request)
    limit = principal.hourly_limit
    now = int(time.time())
    offset = zlib.crc32(principal.credential_id.bytes) % HOUR
    started = now - (now - offset) % HOUR
    parameters = {
        "credential": principal.credential_id,
        "started_at": datetime.fromtimestamp(started, UTC),
        "workspace": principal.workspace_id,
        "limit": limit,
        "ip": client.ip,
        "user_agent": client.user_agent,
    }
    with connections["counters"].cursor() as cursor:
        cursor.execute(COUNT, parameters)
        requests, refused = cursor.fetchone()
    apply(request, Usage(limit, limit + 1 if refused else requests, started + HOUR - now))
