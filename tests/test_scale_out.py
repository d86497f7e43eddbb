"""Two servers that know of each other only by one Postgres, and one Valkey or a cluster: what one has said holds at the
other with the next request.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.conf import settings
from django.db.models import F

from accounts.models import SignIn
from spatialflow.counters import RedisCounters
from tests.support.cast import PASSWORD, Actor
from tests.support.launch import Server, launch, valkey
from tests.support.limits import with_room
from tests.support.oauth import CLIENT_STATE, VERIFIER
from tests.support.race import Answer, at_once, call
from tests.support.two_servers import Browser
from tests.support.valkey_cluster import valkey_cluster
from tests.test_oauth_exchange import code_of

pytestmark = pytest.mark.django_db(transaction=True)
FENCES = "/api/v1/geofences"
LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
Pair = tuple[Server, Server]


@pytest.fixture(scope="module", params=["postgres", "valkey", "cluster"])
def counters(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the limits are counted: the value of REDIS_URL."""
    with ExitStack() as stack:
        if request.param == "cluster":
            yield stack.enter_context(valkey_cluster())[0].url
        else:
            yield stack.enter_context(valkey()) if request.param == "valkey" else ""


@pytest.fixture(scope="module")
def pair(database_url: str, counters: str) -> Iterator[Pair]:
    """Two servers of one process each. They share neither memory nor files."""
    ours = {"PUBLIC_URL": settings.PUBLIC_URL}
    with (
        launch(database_url, redis_url=counters, workers=1, extra_env=ours) as one,
        launch(database_url, redis_url=counters, workers=1, extra_env=ours) as other,
    ):
        yield one, other


def read_fences(server: str, headers: dict[str, str]) -> int:
    return call(server, "GET", FENCES, headers=headers).status


def refresh(server: str, token: str) -> Answer:
    return call(server, "POST", REFRESH, {"refresh_token": token})


def test_a_limit_counts_what_both_have_answered(pair: Pair, alice: Actor):
    headers = {"X-API-KEY": alice.make_key(hourly_limit=20)[1]}
    email, caller = with_room("target{}@acme.test"), with_room("127.0.0.{}")
    body = {"email": email, "password": "no"}

    reads = at_once(40, lambda n: read_fences(pair[n % 2], headers))
    logins = at_once(40, lambda n: call(pair[n % 2], "POST", LOGIN, body, caller=caller).status)

    assert Counter(reads) == {200: 20, 429: 20}
    assert Counter(logins) == {401: 15, 429: 25}
    assert not [server for server in pair if "does not answer" in server.log.read_text()]


def test_a_key_that_one_revokes_is_dead_at_the_other(pair: Pair, alice: Actor):
    one, other = pair
    key, raw = alice.make_key()
    headers = {"X-API-KEY": raw}
    bearer = {"Authorization": f"Bearer {alice.pair.access_token}"}
    before = [read_fences(server, headers) for server in pair]

    revoked = call(one, "DELETE", f"/api/v1/account/api-keys/{key.id}", headers=bearer)

    assert (before, revoked.status) == ([200, 200], 204)
    assert read_fences(other, headers) == 401


def test_a_refresh_token_rotates_once_at_both(pair: Pair, alice: Actor):
    answers = at_once(16, lambda n: refresh(pair[n % 2], alice.pair.refresh_token))

    assert Counter(answer.status for answer in answers) == {200: 16}
    assert len({answer.body["refresh_token"] for answer in answers}) == 1


def test_reuse_at_one_ends_the_sign_in_at_the_other(pair: Pair, alice: Actor):
    one, other = pair
    access = refresh(one, alice.pair.refresh_token).body["access_token"]
    assert read_fences(other, {"Authorization": f"Bearer {access}"}) == 200
    SignIn.objects.update(rotated_at=F("rotated_at") - timedelta(seconds=11))

    assert refresh(other, alice.pair.refresh_token).status == 401

    assert read_fences(one, {"Authorization": f"Bearer {access}"}) == 401
    assert SignIn.objects.get().revoked_reason == "refresh_reuse"


def test_who_logs_out_at_one_is_out_at_the_other(pair: Pair, alice: Actor):
    one, other = pair
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}
    assert read_fences(other, headers) == 200

    assert call(one, "POST", "/api/v1/auth/logout", headers=headers).status == 200

    assert (read_fences(other, headers), refresh(other, alice.pair.refresh_token).status) == (401, 401)


def test_a_login_code_is_traded_once_at_both(pair: Pair, alice: Actor):
    trade = {"code": code_of(alice), "code_verifier": VERIFIER, "state": CLIENT_STATE}

    answers = at_once(12, lambda n: call(pair[n % 2], "POST", "/api/v1/auth/sso/exchange", trade))

    assert Counter(answer.status for answer in answers) == {200: 1, 401: 11}


def test_a_dashboard_session_is_known_to_both_and_ended_at_both(pair: Pair, alice: Actor):
    one, other = pair
    browser = Browser()
    browser.fill_in(one, other, "/sign-in", {"email": alice.user.email})
    entered = browser.fill_in(one, other, "/sign-in/password", {"password": PASSWORD})
    assert entered.status == 302, entered.text
    cookies = dict(browser.cookies)
    pages = [browser.get(server, "/settings/sign-ins").status for server, _ in zip(itertools.cycle(pair), range(4))]
    assert pages == [200] * 4

    form = browser.get(one, "/settings/sign-ins").hidden_fields()
    ended = browser.post(one, "/sign-out", form)
    browser.cookies = cookies  # whoever has copied them has nothing more

    assert ended.status == 302
    assert browser.get(other, "/settings/sign-ins").location.startswith("/sign-in")


def test_a_cluster_shares_the_counters_out_and_may_lose_a_node():
    """Each operation is on one key, which a cluster wants; without its node Postgres counts, from zero."""
    keys = [f"key{number}" for number in range(30)]
    with valkey_cluster() as nodes:
        counters = RedisCounters(nodes[0].url, {})

        counted = [[counters.count(key, delta, 60) for delta in (1, 1, 0, -1)] for key in keys]
        shares = [node.count_keys() for node in nodes]
        nodes[2].stop()
        without = [counters.count(key, 1, 60) for key in keys]
        RedisCounters._down_until = 0.0  # as two seconds later

    assert counted == [[1, 2, 2, 1]] * 30
    assert (sum(shares), min(shares) > 0) == (30, True)
    assert set(without) <= {1, 2} and without[-1] == 1  # 2 where Redis counted until a key was asked for that it lost
