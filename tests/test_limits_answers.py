"""The limits: exact in what they say, counted by whom they should be, and not to be evaded."""

import time
from typing import Any

import pytest
from django.db import connections
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.test import APIClient

from accounts.models import Workspace
from apikeys.models import ApiKey
from spatialflow.throttling import Limit
from tests.conftest import StandingClock
from tests.support.cast import PASSWORD, Actor
from tests.support.limits import GEOFENCES, LOGIN, REFRESH, exhaust_email, wrong_login


@pytest.fixture(autouse=True)
def clock(standing_clock: StandingClock) -> StandingClock:
    return standing_clock


def test_the_sixteenth_login_says_when_to_come_back(anyone, db):
    exhaust_email(anyone)

    response = anyone.post(LOGIN, wrong_login("target@acme.test"), format="json")

    body = response.json()
    retry_after = int(response["Retry-After"])
    assert response.status_code == 429
    assert 1 <= retry_after <= 60
    assert body.pop("reset_at").endswith("Z")
    assert body == {
        "detail": "Rate limit exceeded; try again after the seconds in Retry-After.",
        "error_code": "rate_limited",
        "error": "rate_limited",
        "limit": 15,
    }
    assert (response["RateLimit-Limit"], response["RateLimit-Remaining"]) == ("15", "0")
    assert response["RateLimit-Reset"] == str(retry_after)
    assert response["Cache-Control"] == "no-store"


def test_retry_after_is_exact(anyone, db, clock):
    """Waiting it out passes, one second less does not."""
    exhaust_email(anyone)
    retry_after = int(anyone.post(LOGIN, wrong_login("target@acme.test"), format="json")["Retry-After"])
    begun = clock.now

    clock.now = begun + retry_after - 1
    early = anyone.post(LOGIN, wrong_login("target@acme.test"), format="json")
    clock.now = begun + retry_after
    in_time = anyone.post(LOGIN, wrong_login("target@acme.test"), format="json")

    assert (early.status_code, early["Retry-After"]) == (429, "1")
    assert in_time.status_code == 401
    assert in_time["RateLimit-Remaining"] == "14"


def test_a_keys_retry_after_is_exact(alice: Actor, clock):
    client = alice.key_client(hourly_limit=1)
    assert client.get(GEOFENCES).status_code == 200
    begun, retry_after = clock.now, int(client.get(GEOFENCES)["Retry-After"])

    clock.now = begun + retry_after - 1
    early = client.get(GEOFENCES)
    clock.now = begun + retry_after

    assert 1 <= retry_after <= 3600
    assert (early.status_code, early["Retry-After"]) == (429, "1")
    assert client.get(GEOFENCES).status_code == 200


def test_waiting_does_not_grow_and_refused_attempts_do_not_extend_it(anyone, db, clock):
    exhaust_email(anyone)
    waits = []
    for _ in range(5):
        response = anyone.post(LOGIN, wrong_login("target@acme.test"), format="json")
        waits.append(int(response["Retry-After"]) if response.status_code == 429 else 0)
        clock.now += 1

    assert all(later <= max(0, earlier - 1) for earlier, later in zip(waits, waits[1:], strict=False))


def test_the_right_password_is_no_way_around_the_limit(anyone, alice):
    exhaust_email(anyone, "alice@acme.test")

    response = anyone.post(LOGIN, {"email": "alice@acme.test", "password": PASSWORD}, format="json")

    assert response.status_code == 429
    assert alice.client.get("/api/v1/auth/me").status_code == 200  # what is signed in goes on


@pytest.mark.parametrize(
    "spelling",
    [
        "TARGET@acme.test",
        " target@acme.test ",
        "\uff54arget@acme.test",
        "target@ACME\uff0etest",
        "target\uff20acme.test",
    ],
)
def test_spellings_share_one_limit(anyone, db, spelling):
    exhaust_email(anyone)

    assert anyone.post(LOGIN, wrong_login(spelling), format="json").status_code == 429


def test_plus_tags_are_other_accounts(anyone, db):
    exhaust_email(anyone)

    assert anyone.post(LOGIN, wrong_login("target+1@acme.test"), format="json").status_code == 401


def junk(anyone: APIClient, **extra: Any) -> int:
    """Return what a login is answered that counts like any other, but has no password to hash."""
    return anyone.post(LOGIN, "{", content_type="application/json", **extra).status_code


def test_no_header_moves_a_caller_to_another_address(anyone, db):
    headers = ["X-Forwarded-For", "X-Forwarded", "Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Host"]
    headers += ["X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP", "X-Client-IP"]
    headers += ["X-Cluster-Client-IP", "X-Originating-IP", "X-Remote-IP", "X-Remote-Addr"]

    statuses = [junk(anyone, headers={headers[n % 15]: f"203.0.113.{n}"}) for n in range(75)]

    assert statuses == [400] * 60 + [429] * 15


def test_behind_a_proxy_the_last_hop_counts_and_the_rest_is_the_clients_word(anyone, db, settings):
    settings.TRUSTED_PROXY_COUNT = 1
    for n in range(60):
        assert junk(anyone, headers={"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.9"}) == 400

    blocked = junk(anyone, headers={"X-Forwarded-For": "198.51.100.9"})
    stranger = junk(anyone, headers={"X-Forwarded-For": "198.51.100.8"})

    assert (blocked, stranger) == (429, 400)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.5", "192.0.2.5", True),
    ],
)
def test_ipv6_counts_by_its_64_bits_and_mapped_ipv4_as_ipv4(anyone, db, one, other, same):
    assert [junk(anyone, REMOTE_ADDR=one) for _ in range(60)] == [400] * 60

    assert junk(anyone, REMOTE_ADDR=other) == (429 if same else 400)


def test_junk_bodies_count_by_address_as_wrong_passwords_do(anyone, db):
    guesses = [anyone.post(LOGIN, wrong_login(f"t{n}@acme.test"), format="json").status_code for n in range(30)]

    assert guesses + [junk(anyone) for _ in range(31)] == [401] * 30 + [400] * 30 + [429]
    assert anyone.post(LOGIN, wrong_login("t@acme.test"), format="json").status_code == 429


def test_a_refusal_by_the_email_limit_does_not_charge_the_address(anyone, db):
    exhaust_email(anyone)
    for _ in range(60):
        assert anyone.post(LOGIN, wrong_login("target@acme.test"), format="json").status_code == 429

    answers = [anyone.post(LOGIN, wrong_login(f"t{n}@acme.test"), format="json").status_code for n in range(46)]

    assert answers == [401] * 45 + [429]


def test_who_lacks_a_permission_is_counted_like_anybody_else(alice):
    client = alice.key_client([], hourly_limit=2)

    assert [client.get(GEOFENCES).status_code for _ in range(3)] == [403, 403, 429]


def test_two_credentials_at_once_count_by_address(alice, anyone):
    both = {"X-API-KEY": alice.make_key()[1], "Authorization": f"Bearer {alice.pair.access_token}"}

    statuses = [anyone.get(GEOFENCES, headers=both).status_code for _ in range(101)]

    assert statuses == [400] * 100 + [429]


def test_a_refusal_by_address_does_not_charge_the_email(anyone, db):
    assert [junk(anyone) for _ in range(60)] == [400] * 60
    for _ in range(20):
        assert anyone.post(LOGIN, wrong_login("target@acme.test"), format="json").status_code == 429

    response = anyone.post(LOGIN, wrong_login("target@acme.test"), format="json", REMOTE_ADDR="192.0.2.99")

    assert (response.status_code, response["RateLimit-Remaining"]) == (401, "14")


def test_a_refusal_by_the_tokens_limit_does_not_charge_the_address(anyone, alice):
    body = {"refresh_token": alice.pair.refresh_token}
    answers = [anyone.post(REFRESH, body, format="json").status_code for _ in range(50)]
    assert answers == [200] * 30 + [429] * 20

    nonsense = {"refresh_token": "nonsense"}
    assert [anyone.post(REFRESH, nonsense, format="json").status_code for _ in range(71)] == [401] * 70 + [429]


def test_a_refusal_by_address_does_not_charge_the_token(anyone, alice):
    body = {"refresh_token": alice.pair.refresh_token}
    for _ in range(100):
        anyone.post(REFRESH, {"refresh_token": "nonsense"}, format="json")
    for _ in range(31):
        refused = anyone.post(REFRESH, body, format="json")
        assert (refused.status_code, refused["RateLimit-Limit"]) == (429, "100")

    response = anyone.post(REFRESH, body, format="json", REMOTE_ADDR="192.0.2.99")

    assert (response.status_code, response["RateLimit-Remaining"]) == (200, "29")


def test_both_limits_of_a_refresh_are_counted_in_one_trip(anyone, alice, django_assert_num_queries, monkeypatch):
    monkeypatch.setattr("random.random", lambda: 1.0)  # it is not our turn to sweep
    with django_assert_num_queries(1, connection=connections["counters"]):
        anyone.post(REFRESH, {"refresh_token": alice.pair.refresh_token}, format="json")


def test_a_blocked_attempt_hashes_no_password_and_asks_no_query(anyone, alice, django_assert_num_queries):
    exhaust_email(anyone, "alice@acme.test")
    seconds = []

    for _ in range(5):
        begun = time.process_time()
        with django_assert_num_queries(0):
            anyone.post(LOGIN, {"email": "alice@acme.test", "password": PASSWORD}, format="json")
        seconds.append(time.process_time() - begun)

    assert min(seconds) < 0.015  # one hash alone takes longer


@pytest.mark.parametrize(
    ("plan", "limit"), [("free", 1000), ("pro", 2000), ("team", 5000), ("business", 10000), ("enterprise", 20000)]
)
def test_the_plan_limits_each_credential(alice, plan, limit):
    Workspace.objects.update(plan=plan)

    for client in (alice.client, alice.key_client()):
        response = client.get(GEOFENCES)

        assert (response["RateLimit-Limit"], response["RateLimit-Remaining"]) == (str(limit), str(limit - 1))
        assert 1 <= int(response["RateLimit-Reset"]) <= 3600


def test_a_keys_own_limit_only_lowers_the_plans(alice):
    assert alice.key_client(hourly_limit=7).get(GEOFENCES)["RateLimit-Limit"] == "7"
    assert alice.key_client(hourly_limit=999_999).get(GEOFENCES)["RateLimit-Limit"] == "10000"


def test_without_a_valid_credential_100_an_hour(anyone, alice):
    for n in range(100):
        headers = {"X-API-KEY": "sf_guess"} if n % 2 else {}
        assert anyone.get(GEOFENCES, headers=headers).status_code == 401

    response = anyone.get(GEOFENCES, headers={"X-API-KEY": "sf_guess"})

    assert (response.status_code, response["RateLimit-Limit"]) == (429, "100")
    assert alice.client.get(GEOFENCES).status_code == 200  # a neighbour at the same address
    assert alice.key_client().get(GEOFENCES).status_code == 200


def test_limited_answers_carry_the_headers_and_health_is_not_limited(anyone, alice):
    names = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}

    _, raw = alice.make_key([])
    both = {"X-API-KEY": raw, "Authorization": f"Bearer {alice.pair.access_token}"}

    for response in (
        anyone.get(GEOFENCES, headers={"X-API-KEY": raw}),  # 403
        anyone.get(GEOFENCES, headers=both),  # 400
        anyone.post(LOGIN, {}, format="json"),
        anyone.post(REFRESH, {"refresh_token": alice.pair.refresh_token}, format="json"),
        alice.client.get(GEOFENCES),
        anyone.get(GEOFENCES),
    ):
        assert names <= set(response.headers), response
    assert not names & set(anyone.get("/api/v1/health").headers)


def test_a_key_counts_only_what_it_did(alice):
    one, other = alice.key_client(hourly_limit=1), alice.key_client(hourly_limit=1)

    assert [one.get(GEOFENCES).status_code for _ in range(2)] == [200, 429]
    assert other.get(GEOFENCES).status_code == 200
    assert ApiKey.objects.count() == 2


def test_expired_counters_are_swept(db, monkeypatch):
    with connections["counters"].cursor() as cursor:
        cursor.execute("INSERT INTO spatialflow_counter VALUES ('old', 3, now() - interval '1 minute')")
    monkeypatch.setattr("random.random", lambda: 0.0)

    Limit("sweep", "5/m").charge(Request(HttpRequest()), "somebody")

    with connections["counters"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM spatialflow_counter WHERE key = 'old'")
        assert cursor.fetchone()[0] == 0
