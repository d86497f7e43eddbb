"""The counters behind the limits, as two cache backends for django-ratelimit: Postgres, and Redis with Postgres to
fall back on.

django-ratelimit asks `add(key, 1)` and, when the counter exists already, `incr(key)`. Here `add` counts at once, in
one atomic statement, and `incr` hands out what it counted, so that one limit costs one trip. A counter's key names
its window, so an expired row can never be counted on; expiry only frees the space.
"""

import logging
import random
import time
from functools import cached_property
from typing import Any

import redis
from django.core.cache.backends.base import BaseCache
from django.db import connections
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from spatialflow.metrics import COUNTER_FALLBACKS

logger = logging.getLogger(__name__)

COUNT = """
INSERT INTO spatialflow_counter (key, count, expires_at) VALUES (%s, %s, now() + %s * interval '1 second')
ON CONFLICT (key) DO UPDATE SET count = spatialflow_counter.count + EXCLUDED.count
RETURNING count
"""
FORGET_EXPIRED = """
DELETE FROM spatialflow_counter WHERE key IN (
    SELECT key FROM spatialflow_counter WHERE expires_at < now() LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""


class CounterCache(BaseCache):
    """One counter a key. Django keeps one instance a thread, so what `add` leaves for `incr` is its own."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self.location = location
        self.counted_key = ""
        self._count = 0

    def count(self, key: str, delta: int, seconds: int) -> int:
        raise NotImplementedError

    def add(self, key: str, value: int, timeout: int = 60, version: int | None = None) -> bool:
        self._count = self.count(key, value, timeout)
        self.counted_key = key
        return self._count == value

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        return self._count

    def get(self, key: str, default: Any = None, version: int | None = None) -> int:
        return self._count

    def take_back(self, key: str, seconds: int) -> None:
        """Undo one count of `key`, which a limit charged before a later limit refused the request."""
        self.count(key, -1, seconds)


class PostgresCounters(CounterCache):
    """Counters in an UNLOGGED table: as fast as Redis on the same machine, and no second service to run."""

    def count(self, key: str, delta: int, seconds: int) -> int:
        with connections["counters"].cursor() as cursor:
            if not delta:
                cursor.execute("SELECT count FROM spatialflow_counter WHERE key = %s", [key])
                return int((cursor.fetchone() or (0,))[0])
            cursor.execute(COUNT, [key, delta, seconds])
            count: int = cursor.fetchone()[0]
            if random.random() < 1 / 500:  # noqa: S311 - whose turn it is to sweep is no secret
                cursor.execute(FORGET_EXPIRED)
        return count


class RedisCounters(CounterCache):
    """Counters in Redis or Valkey, on one server or on a cluster. While it does not answer, the same limits count in
    Postgres: never unlimited, never an error.
    """

    FAILURES = (redis.RedisError, RedisClusterException)  # the latter is none of the former
    RETRY_AFTER_SECONDS = 2
    _down_until = 0.0  # of this process; the class holds it, since every thread has an instance

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(location, params)
        self.fallback = PostgresCounters("", params)

    @cached_property
    def client(self) -> Any:
        """Return the client; that of a cluster asks at once where which keys are. Raises what the server's absence
        raises.
        """
        url = self.location.replace("+cluster://", "://")
        ours = {"protocol": 2, "socket_timeout": 0.5, "socket_connect_timeout": 0.5}
        if url == self.location:
            return redis.Redis.from_url(url, **ours)
        return RedisCluster.from_url(url, retry=Retry(NoBackoff(), 1), **ours)

    def count(self, key: str, delta: int, seconds: int) -> int:
        if time.monotonic() < RedisCounters._down_until:
            return self.fallback.count(key, delta, seconds)
        try:
            if not delta:
                return int(self.client.get(key) or 0)
            with self.client.pipeline(transaction=True) as pipeline:  # of one key, as a cluster wants it
                pipeline.incrby(key, delta)
                pipeline.expire(key, seconds)
                return int(pipeline.execute()[0])
        except self.FAILURES as error:
            RedisCounters._down_until = time.monotonic() + self.RETRY_AFTER_SECONDS
            COUNTER_FALLBACKS.inc()
            logger.warning("counter store Redis does not answer (%s); limits count in Postgres", type(error).__name__)
            return self.fallback.count(key, delta, seconds)
