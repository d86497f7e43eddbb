"""The counters behind the limits, as two cache backends for django-ratelimit: Postgres, and Redis with Postgres to
fall back on.

django-ratelimit says under which key a request counts, for how long that is kept, and against which number. It counts
one limit at a time, in up to two trips (`add`, then `incr`); so here `add` only notes what it says, and whoever asked
counts at once, in one atomic statement, for one limit or for two. A counter's key names its window, so an expired row
can never be counted on; expiry only frees the space.
"""

import logging
import random
import time
from dataclasses import dataclass
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
COUNT_BOTH = "SELECT * FROM spatialflow_count_both(%s, %s, %s, %s, %s, %s)"
TAKE_BACK = "UPDATE spatialflow_counter SET count = count - 1 WHERE key = %s AND count > 0"
FORGET_EXPIRED = """
DELETE FROM spatialflow_counter WHERE key IN (
    SELECT key FROM spatialflow_counter WHERE expires_at < now() LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit's count of one identity in one window. It is kept for `seconds`."""

    key: str
    seconds: int
    limit: int


class CounterCache(BaseCache):
    """One counter a key. Django keeps one instance a thread, so what is noted here is that thread's own."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self.location = location
        self.noted: tuple[str, int] = ("", 0)  # the key and the seconds that django-ratelimit asked for last
        self.counted_by: CounterCache = self  # which store has counted last: what is taken back is taken from there

    def add(self, key: str, value: int, timeout: int = 60, version: int | None = None) -> bool:
        self.noted = key, timeout
        return True

    def count(self, key: str, delta: int, seconds: int) -> int:
        """Add to a counter and return what it comes to; one trip."""
        raise NotImplementedError

    def count_both(self, wide: Counter, narrow: Counter) -> tuple[int, int]:
        """Add one to both and return what they come to; where one refuses, neither keeps it. Then what refuses is
        beyond its limit, the narrow one also where the wide one was not asked.

        Each trip touches one key: those of a cluster lie on different servers. So a request that the wide one refuses
        at last may for a moment have taken the room of another in the narrow one; no order lets more through.
        """
        wide_count = self.count(wide.key, 0, wide.seconds)
        if wide_count >= wide.limit:
            return wide.limit + 1, 0
        narrow_count, counted = self.count(narrow.key, 1, narrow.seconds), self.counted_by
        if narrow_count > narrow.limit:
            return 0, narrow_count
        wide_count = self.count(wide.key, 1, wide.seconds)
        if wide_count > wide.limit:
            counted.take_back(narrow.key)
        return wide_count, narrow_count

    def take_back(self, key: str) -> None:
        """Undo one count of `key` in this store, which a limit charged before a later limit refused the request."""
        raise NotImplementedError


class PostgresCounters(CounterCache):
    """Counters in an UNLOGGED table: as fast as Redis on the same machine, and no second service to run."""

    def count(self, key: str, delta: int, seconds: int) -> int:
        with connections["counters"].cursor() as cursor:
            if not delta:
                cursor.execute("SELECT count FROM spatialflow_counter WHERE key = %s", [key])
                return int((cursor.fetchone() or (0,))[0])
            cursor.execute(COUNT, [key, delta, seconds])
            count: int = cursor.fetchone()[0]
            _sweep_in_turn(cursor)
        return count

    def count_both(self, wide: Counter, narrow: Counter) -> tuple[int, int]:
        """As for every store, in one trip, which nobody sees half done."""
        limits = [value for counter in (wide, narrow) for value in (counter.key, counter.seconds, counter.limit)]
        with connections["counters"].cursor() as cursor:
            cursor.execute(COUNT_BOTH, limits)
            wide_count, narrow_count = cursor.fetchone()
            _sweep_in_turn(cursor)
        return wide_count or (0 if narrow_count else wide.limit + 1), narrow_count or 0

    def take_back(self, key: str) -> None:
        with connections["counters"].cursor() as cursor:
            cursor.execute(TAKE_BACK, [key])


def _sweep_in_turn(cursor: Any) -> None:
    if random.random() < 1 / 500:  # noqa: S311 - whose turn it is to sweep is no secret
        cursor.execute(FORGET_EXPIRED)


class RedisCounters(CounterCache):
    """Counters in Redis or Valkey, on one server or on a cluster. While it does not answer, the same limits count in
    Postgres: never unlimited, never an error.
    """

    FAILURES = (redis.RedisError, RedisClusterException)  # the latter is none of the former
    RETRY_AFTER_SECONDS = 2
    # Not below zero: a server that came back empty has nothing to take back.
    TAKE_BACK = "if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then redis.call('DECR', KEYS[1]) end"
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
        if time.monotonic() >= RedisCounters._down_until:
            try:
                count = self._count(key, delta, seconds)
            except self.FAILURES as error:
                self._note_absence(error)
            else:
                self.counted_by = self
                return count
        self.counted_by = self.fallback
        return self.fallback.count(key, delta, seconds)

    def _count(self, key: str, delta: int, seconds: int) -> int:
        if not delta:
            return int(self.client.get(key) or 0)
        with self.client.pipeline(transaction=True) as pipeline:  # of one key, as a cluster wants it
            pipeline.incrby(key, delta)
            pipeline.expire(key, seconds)
            return int(pipeline.execute()[0])

    def take_back(self, key: str) -> None:
        """As for every store. While Redis does not answer, what it counted stays: that errs on the safe side."""
        if time.monotonic() < RedisCounters._down_until:
            return
        try:
            self.client.eval(self.TAKE_BACK, 1, key)
        except self.FAILURES as error:
            self._note_absence(error)

    def _note_absence(self, error: Exception) -> None:
        RedisCounters._down_until = time.monotonic() + self.RETRY_AFTER_SECONDS
        COUNTER_FALLBACKS.inc()
        logger.warning("counter store Redis does not answer (%s); limits count in Postgres", type(error).__name__)
