"""How a limit is enforced. The limits themselves, numbers and keys, are in accounts/throttles.py.

Windows are fixed and offset by key, so that not all end in the same second; across an edge up to twice the limit can
pass. Counting is django-ratelimit's over an atomic store (spatialflow/counters.py), exact for any number of threads,
processes and hosts.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django_ratelimit.core import get_usage
from rest_framework import serializers, status
from rest_framework.request import Request

from spatialflow.errors import ApiError, ErrorSerializer


@dataclass(frozen=True)
class Usage:
    """What one limit says about this request. `resets_in` is in whole seconds: wait that long and a new window has
    begun.
    """

    limit: int
    count: int
    resets_in: int

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
        reset_at = datetime.fromtimestamp(int(time.time()) + usage.resets_in, UTC)
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


class Throttle:
    """One limit, as a DRF throttle class. `rate` is django-ratelimit's form: 15/m, 100/h."""

    name: str
    rate: str

    def identity(self, request: Request, view: Any) -> str | None:
        """Return what this limit counts by, or None when it does not apply to the request."""
        raise NotImplementedError

    def allow_request(self, request: Request, view: Any) -> bool:
        """Charge the request to this limit. Raises `Throttled` when it is exceeded; what earlier limits charged is
        given back.
        """
        identity = self.identity(request, view)
        if identity is not None:
            charge(request, self.name, self.rate, identity)
        return True


def charge(request: Request, name: str, rate: str, identity: str) -> None:
    """Count one request of `identity` against the limit `name`. Raises `Throttled`; then no limit keeps a charge of
    this request.
    """
    counted = get_usage(request, group=name, key=lambda *_: identity, rate=rate, increment=True)
    if counted is None:
        raise ImproperlyConfigured("RATELIMIT_ENABLE must not be off: the limits have no switch.")
    # django-ratelimit counts the window's last second as inside it, so the next window begins one second later.
    usage = Usage(counted["limit"], counted["count"], max(1, counted["time_left"] + 1))
    apply(request, usage, caches[settings.RATELIMIT_USE_CACHE].counted_key)


def apply(request: Request, usage: Usage, counter_key: str | None = None) -> None:
    """Let the answer carry the tightest of its limits (`RateLimit-*`), and raise `Throttled` when `usage` is
    exceeded.
    """
    charged: list[tuple[str, int]] = request.__dict__.setdefault("charged_counters", [])
    if usage.exceeded:
        for key, seconds in charged:
            caches[settings.RATELIMIT_USE_CACHE].take_back(key, seconds)
        charged.clear()
        request.rate_limit_headers = _headers(usage)
        raise Throttled(usage)
    if counter_key:
        charged.append((counter_key, usage.resets_in))
    tightest = request.__dict__.get("tightest_usage")
    if tightest is None or usage.remaining < tightest.remaining:
        request.tightest_usage = usage
        request.rate_limit_headers = _headers(usage)


def _headers(usage: Usage) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(usage.limit),
        "RateLimit-Remaining": str(usage.remaining),
        "RateLimit-Reset": str(usage.resets_in),
    }
