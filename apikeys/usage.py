"""What a key was used for: requests and refusals by hour, and which of its scopes it has needed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from accounts.models import CredentialUsage
from accounts.scopes import SCOPE_BITS, WATCHED_KEY_SCOPES, with_implied
from accounts.usage import HOUR, hour_start, list_hours
from apikeys.models import ApiKey

LONGEST_WINDOW_DAYS = 90
WATCHED_BEFORE_JUDGING = timedelta(days=7)


@dataclass(frozen=True)
class KeyUsage:
    """The use of one key since a moment.

    `hours` are those with a request; hours begin at a minute of the key's own. `scopes_used` says for each scope that
    was needed in which hour it was last. `scopes_unused` are granted ones that a smaller set leaves out, and
    `suggested_scopes` is that set: None while there is nothing to leave out, or not enough was seen to say so. Only use
    that this service sees counts; scopes of the platform's other services are neither used nor unused.
    """

    since: datetime
    hours: list[CredentialUsage]
    watched_since: datetime
    scopes_used: dict[str, datetime]
    scopes_unused: list[str]
    suggested_scopes: list[str] | None


def get_usage(key: ApiKey, days: int) -> KeyUsage:
    """Return the use of the key in the last days, the current hour included. One query."""
    since = _hour_of(key, timezone.now()) - timedelta(days=days) + timedelta(seconds=HOUR)
    hours = list_hours(key.id, since)
    unwatched = [hour.started_at + timedelta(seconds=HOUR) for hour in hours if hour.scopes_used is None]
    watched_since = max(since, key.created_at, *unwatched)
    used = _last_uses(hours)
    suggested = None
    if any(hour.requests for hour in hours) and timezone.now() - watched_since >= WATCHED_BEFORE_JUDGING:
        suggested = _suggest(key.scopes, used)
    return KeyUsage(
        since=since,
        hours=hours,
        watched_since=watched_since,
        scopes_used=used,
        scopes_unused=[] if suggested is None else [scope for scope in key.scopes if scope not in suggested],
        suggested_scopes=suggested,
    )


def _hour_of(key: ApiKey, moment: datetime) -> datetime:
    return datetime.fromtimestamp(hour_start(key.id, int(moment.timestamp())), UTC)


def _last_uses(hours: list[CredentialUsage]) -> dict[str, datetime]:
    return {
        scope: hour.started_at for hour in hours for scope, bit in SCOPE_BITS.items() if (hour.scopes_used or 0) & bit
    }


def _suggest(granted: list[str], used: Iterable[str]) -> list[str] | None:
    """Return the least that still does what was used, or None where that is what is granted already."""
    seen = WATCHED_KEY_SCOPES & with_implied(frozenset(granted))
    needed = frozenset(used) & seen
    kept = frozenset(scope for scope in granted if scope not in seen or scope in with_implied(needed))
    smaller = kept | (needed - with_implied(kept))
    is_smaller = with_implied(smaller) < with_implied(frozenset(granted))
    return [scope for scope in SCOPE_BITS if scope in smaller] if is_smaller else None
