"""How a limit is enforced. The limits themselves, numbers and keys, are in accounts/throttles.py.

Windows are fixed and offset by key, so that not all end in the same second; across an edge up to twice the limit can
pass. Rates, windows and keys are django-ratelimit's, which goes by the clock of the host; the store behind it
(spatialflow/counters.py) counts, exact for any number of threads, processes and hosts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django_ratelimit.core import get_usage
from rest_framework import serializers, status
from rest_framework.request import Request

from spatialflow import clock
from spatialflow.counters import Counter, CounterCache
from spatialflow.errors import ApiError, ErrorSerializer
from spatialflow.metrics import THROTTLED


@dataclass(frozen=True)
class Usage:
    """What one limit says about this request. `resets_in` is in whole seconds: wait that long and a new window has
    begun.
    """

    limit: int
    count: int
    resets_in: int
    name: str = ""  # of the limit, for the metrics

    @property
    def exceeded(self) -> bool:
        return self.count > self.limit

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.count)


class Throttled(ApiError):
    """429 (RFC 6585 section 4). The body serves clients that read `detail` and those that read `error`, `limit`,
    `reset_at`.
    """

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_detail = "Rate limit exceeded; try again after the seconds in Retry-After."
    default_code = "rate_limited"

    def __init__(self, usage: Usage) -> None:
        reset_at = datetime.fromtimestamp(int(clock.timestamp()) + usage.resets_in, UTC)
        super().__init__(
            headers={"Retry-After": str(usage.resets_in)},
            extra={
                "error": self.default_code,
                "limit": usage.limit,
                "reset_at": reset_at.isoformat().replace("+00:00", "Z"),
            },
        )


class ThrottledSerializer(ErrorSerializer):
    """The body of a 429."""

    error = serializers.CharField()
    limit = serializers.IntegerField()
    reset_at = serializers.DateTimeField()


@dataclass(frozen=True)
class Limit:
    """One limit. `rate` is django-ratelimit's form: 15/m, 100/h. Every check is one trip to the counter store."""

    name: str
    rate: str

    def charge(self, request: Request, identity: str) -> None:
        """Count one request of `identity`. Raises `Throttled` when that is one too many; then no limit keeps a charge
        of it.
        """
        window = self._window(identity)
        apply(request, window.usage(window.count(1)), window.counter.key)

    def charge_with(self, narrower: "Limit", request: Request, identity: str, narrow_identity: str) -> None:
        """Count one request of both, in one trip where the store can. Raises `Throttled` when it is one too many of
        either; then neither keeps a charge of it. Otherwise both do, whatever refuses it later: what they guard begins.
        """
        wide, narrow = self._window(identity), narrower._window(narrow_identity)
        wide_count, narrow_count = store().count_both(wide.counter, narrow.counter)
        for usage in (narrow.usage(narrow_count), wide.usage(wide_count)):
            apply(request, usage)

    def has_room(self, identity: str) -> bool:
        """Count one of `identity` where no request waits for the answer; return whether it is within the limit."""
        window = self._window(identity)
        return window.count(1) <= window.counter.limit

    def refuse_exceeded(self, request: Request, identity: str) -> None:
        """Raise `Throttled` when the next request of `identity` would be one too many; count nothing."""
        window = self._window(identity)
        if window.count(0) >= window.counter.limit:
            apply(request, window.exceeded())

    @contextmanager
    def charged_last(self, request: Request, identity: str) -> Iterator[None]:
        """Count one request after the block, which charges narrower limits; a refusal by one of those does not count
        here.

        An exhausted limit refuses before the block does any work. A request that the block refuses for another
        reason, such as a malformed body, counts like any other.
        """
        self.refuse_exceeded(request, identity)
        try:
            yield
        except Throttled:
            raise
        except Exception:
            self.charge(request, identity)
            raise
        self.charge(request, identity)

    @contextmanager
    def charged_if_refused(self, request: Request, identity: str) -> Iterator[None]:
        """Count a request that the block refuses. What passes is counted behind it, with a narrower limit
        (`charge_with`): for a block that costs less than asking first whether there is room.
        """
        try:
            yield
        except Exception:
            self.charge(request, identity)
            raise

    def _window(self, identity: str) -> "Window":
        said = get_usage(None, group=self.name, key=lambda *_: identity, rate=self.rate)
        if said is None:
            raise ImproperlyConfigured("RATELIMIT_ENABLE must not be off: the limits have no switch.")
        # django-ratelimit counts the window's last second as inside it, so the next window begins one second later.
        return Window(Counter(*store().noted, said["limit"]), max(1, said["time_left"] + 1), self.name)


@dataclass(frozen=True, slots=True)
class Window:
    """The window of one limit that it is now for one identity, as django-ratelimit says."""

    counter: Counter
    resets_in: int
    name: str

    def count(self, delta: int) -> int:
        return store().count(self.counter.key, delta, self.counter.seconds)

    def usage(self, count: int) -> Usage:
        return Usage(self.counter.limit, count, self.resets_in, self.name)

    def exceeded(self) -> Usage:
        """Return what it says about a request that is one too many and was not counted."""
        return self.usage(self.counter.limit + 1)


def store() -> CounterCache:
    """Return this thread's way to the counters."""
    counters: CounterCache = caches[settings.RATELIMIT_USE_CACHE]
    return counters


def apply(request: Request, usage: Usage, counter_key: str | None = None) -> None:
    """Let the answer carry its tightest limit (`RateLimit-*`), and raise `Throttled` when `usage` is exceeded."""
    charged: list[tuple[CounterCache, str]] = request.__dict__.setdefault("charged_counters", [])
    if usage.exceeded:
        for counted_by, key in charged:
            counted_by.take_back(key)
        charged.clear()
        request.rate_limit_headers = _headers(usage)
        THROTTLED.labels(usage.name).inc()
        raise Throttled(usage)
    if counter_key:
        charged.append((store().counted_by, counter_key))
    tightest = request.__dict__.get("tightest_usage")
    if tightest is None or usage.remaining < tightest.remaining:
        request.tightest_usage = usage
        request.rate_limit_headers = _headers(usage)


def keep_charges(request: Request) -> None:
    """Let what this request was charged stand, whatever refuses it later. Call it once work has been done for it that
    the limits are to bound: else a later limit that is used up would make that work free.
    """
    request.__dict__.pop("charged_counters", None)


def _headers(usage: Usage) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(usage.limit),
        "RateLimit-Remaining": str(usage.remaining),
        "RateLimit-Reset": str(usage.resets_in),
    }
