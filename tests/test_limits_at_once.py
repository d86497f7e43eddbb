"""The limits at running servers: exact under concurrency on both counter stores."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from django.db import connection, connections, transaction

from accounts.models import CredentialUsage
from accounts.tokens import AccessToken
from apikeys.models import ApiKey
from spatialflow.counters import Counter as Limited
from spatialflow.counters import PostgresCounters, RedisCounters
from tests.support.launch import Server
from tests.support.limits import GEOFENCES, LOGIN, REFRESH, has_room, with_room, wrong_login
from tests.support.race import at_once, call, start_to_wait

both_stores = pytest.mark.parametrize("store", ["server", "redis_server"])
real = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(request: pytest.FixtureRequest, store: str, transactional_db: None) -> Server:
    """A server whose counters are empty."""
    running: Server = request.getfixturevalue(store)
    if store == "redis_server":
        redis.Redis.from_url(request.getfixturevalue("redis_store")).flushall()
    return running


@pytest.fixture
def caller() -> str:
    """An address that has used up nothing."""
    return with_room("127.0.0.{}")


def guess(server: Server, caller: str, email: str) -> int:
    return call(server, "POST", LOGIN, wrong_login(email), caller=caller).status


@both_stores
@real
def test_of_64_logins_at_once_for_one_address_15_reach_the_password(api, caller):
    email = with_room("target{}@acme.test")

    assert Counter(at_once(64, lambda _: guess(api, caller, email))) == {401: 15, 429: 49}


@both_stores
@real
def test_of_90_logins_at_once_from_one_address_60_reach_the_password(api, caller):
    statuses = at_once(90, lambda n: guess(api, caller, f"target{n}@acme.test"))

    assert Counter(statuses) == {401: 60, 429: 30}


@both_stores
@real
def test_of_64_refreshes_at_once_of_one_sign_in_30_are_answered(api, alice, caller):
    pairs = iter(alice.sign_in_again, None)
    pair = next(pair for pair in pairs if has_room(str(AccessToken.read(pair.access_token).sid)))
    body = {"refresh_token": pair.refresh_token}

    answers = at_once(64, lambda _: call(api, "POST", REFRESH, body, caller=caller))

    assert Counter(answer.status for answer in answers) == {200: 30, 429: 34}


@both_stores
@real
def test_of_128_refreshes_at_once_from_one_address_100_are_looked_at(api, caller):
    answers = at_once(128, lambda n: call(api, "POST", REFRESH, {"refresh_token": f"nonsense{n}"}, caller=caller))

    assert Counter(answer.status for answer in answers) == {401: 100, 429: 28}


@both_stores
@real
def test_a_keys_hour_is_exact_at_once_and_recorded(api, alice):
    key, raw = alice.make_key(hourly_limit=20)

    answers = at_once(40, lambda _: call(api, "GET", GEOFENCES, headers={"X-API-KEY": raw}))

    assert Counter(answer.status for answer in answers) == {200: 20, 429: 20}
    wait_until(lambda: sum(CredentialUsage.objects.values_list("refusals", flat=True)) == 20)
    hour = CredentialUsage.objects.get(credential_id=key.id)
    assert (hour.requests, hour.refusals, hour.last_ip) == (20, 20, "127.0.0.1")


@real
def test_with_redis_the_plans_limit_counts_there(redis_server, redis_store, alice):
    key, raw = alice.make_key()

    call(redis_server, "GET", GEOFENCES, headers={"X-API-KEY": raw})

    counted = redis.Redis.from_url(redis_store).keys(f"plan:{key.id}:*")
    assert len(counted) == 1


@both_stores
@real
def test_a_raised_limit_lets_requests_in_at_once(api, alice):
    key, raw = alice.make_key(hourly_limit=3)
    before = [call(api, "GET", GEOFENCES, headers={"X-API-KEY": raw}).status for _ in range(10)]

    ApiKey.objects.filter(id=key.id).update(hourly_limit=8)
    after = [call(api, "GET", GEOFENCES, headers={"X-API-KEY": raw}).status for _ in range(6)]

    assert (before, after) == ([200] * 3 + [429] * 7, [200] * 5 + [429])


def wait_until(holds: Callable[[], bool], seconds: float = 5) -> None:
    """The record of use is written a moment after the answer where Redis counts."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)


@real
def test_redis_gone_the_same_limit_counts_in_postgres(redis_server, redis_store, caller):
    email = with_room("target{}@acme.test")
    redis_store.stop()
    try:
        statuses = at_once(64, lambda _: guess(redis_server, caller, email))
    finally:
        redis_store.start()
        time.sleep(2.1)  # longer than a process goes without asking Redis again

    assert Counter(statuses) == {401: 15, 429: 49}
    assert "limits count in Postgres" in redis_server.log.read_text()
    with connections["counters"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM spatialflow_counter")
        assert cursor.fetchone()[0] >= 2


@both_stores
@real
def test_attempts_at_one_exhausted_email_take_no_room_from_the_others_at_that_address(api, caller):
    """60 attempts are allowed: 15 at one email, and 45 more, however many are refused for that email meanwhile."""
    target = with_room("target{}@acme.test")
    assert [guess(api, caller, target) for _ in range(15)] == [401] * 15

    statuses = at_once(120, lambda n: guess(api, caller, target if n % 2 else f"other{n}@acme.test"))

    assert Counter(statuses[0::2]) == {401: 45, 429: 15}
    assert Counter(statuses[1::2]) == {429: 60}


@real
def test_who_is_refused_at_a_full_address_takes_no_room_at_an_email():
    """Not even until it is taken back: another has the last attempt of the address, and has not committed it yet."""
    store, address, email = PostgresCounters("", {}), Limited("an address", 60, 60), Limited("an email", 60, 15)
    store.count(address.key, 59, 60)

    def ask() -> tuple[int, int]:
        try:
            return store.count_both(address, email)
        finally:
            connections["counters"].close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE spatialflow_counter SET count = 60")
            waiting = start_to_wait(pool, ask)
        assert waiting.result() == (61, 0)

    assert store.count(email.key, 0, 60) == 0


def test_what_is_taken_back_is_taken_from_the_store_that_counted(redis_store, transactional_db):
    """Redis may stop in between, and come back empty: neither store then counts less than nothing."""
    store = RedisCounters(redis_store, {})
    store.count("of redis", 1, 60)
    redis_counted = store.counted_by
    redis_store.stop()
    try:
        store.count("of postgres", 1, 60)
        redis_counted.take_back("of redis")
        counts = [store.fallback.count(key, 0, 60) for key in ("of postgres", "of redis")]
        store.counted_by.take_back("of postgres")
        store.counted_by.take_back("of postgres")
    finally:
        redis_store.start()
        time.sleep(2.1)
    redis_counted.take_back("of redis")

    assert counts == [1, 0]
    assert [store.count(key, 0, 60) for key in ("of redis", "of postgres")] == [0, 0]
    assert store.fallback.count("of postgres", 0, 60) == 0
