"""A person's own sessions: seen, and ended one by one or all but this one."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.devices import in_words
from accounts.models import AuditEvent, CredentialUsage, SignIn
from accounts.principal import Client
from accounts.tokens import AccessToken, issue
from tests.support.cast import Actor, bearer
from tests.support.urls import EXAMPLE_ID

SESSIONS = "/api/v1/auth/sessions"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def sign_in_with(actor: Actor, user_agent: str = FIREFOX, ip: str = "198.51.100.7"):
    """Return the tokens of another sign-in of the person, and its row."""
    pair = issue(actor.membership, "password", Client(ip, user_agent))
    return pair, SignIn.objects.get(id=AccessToken.read(pair.access_token).sid)


def text(moment) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@pytest.mark.django_db(transaction=True)  # what was used is counted on a connection of its own
def test_the_list_tells_where_one_is_signed_in(alice: Actor, bob: Actor):
    _, other = sign_in_with(alice)
    current = SignIn.objects.get(id=alice.sign_in_id)

    response = alice.client.get(SESSIONS)

    used = CredentialUsage.objects.get(credential_id=current.id).last_used_at
    shared = {"method": "password", "workspace_id": str(alice.workspace.id), "workspace_slug": "acme"}
    assert response.status_code == 200
    assert response.json() == {
        "sessions": [
            {
                "id": str(current.id),
                "device": "tests",
                "user_agent": "tests",
                "ip_address": "192.0.2.1",
                **shared,
                "created_at": text(current.created_at),
                "last_used_at": text(used),
                "expires_at": text(current.expires_at),
                "is_current": True,
            },
            {
                "id": str(other.id),
                "device": "Firefox on Linux",
                "user_agent": FIREFOX,
                "ip_address": "198.51.100.7",
                **shared,
                "created_at": text(other.created_at),
                "last_used_at": text(other.last_used_at),
                "expires_at": text(other.expires_at),
                "is_current": False,
            },
        ],
        "total": 2,
        "truncated": False,
    }


def test_ended_and_expired_sign_ins_are_not_listed(alice):
    _, ended = sign_in_with(alice)
    _, expired = sign_in_with(alice)
    SignIn.objects.filter(id=ended.id).revoke("logout")
    SignIn.objects.filter(id=expired.id).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert [session["id"] for session in alice.client.get(SESSIONS).json()["sessions"]] == [str(alice.sign_in_id)]


def test_the_list_costs_one_query_however_many_there_are(alice, django_assert_num_queries):
    for _ in range(10):
        sign_in_with(alice)

    with django_assert_num_queries(2):  # one to authenticate, one for the list
        assert len(alice.client.get(SESSIONS).json()["sessions"]) == 11


def test_of_very_many_the_last_used_are_listed(alice):
    now = timezone.now()
    shared = {"user": alice.user, "workspace": alice.workspace, "method": "password", "ip": "192.0.2.9"}
    SignIn.objects.bulk_create(
        SignIn(**shared, expires_at=now + timedelta(days=1), last_used_at=now - timedelta(minutes=n + 1))
        for n in range(505)
    )

    body = alice.client.get(SESSIONS).json()

    assert (len(body["sessions"]), body["total"], body["truncated"]) == (500, 506, True)
    assert body["sessions"][0]["is_current"] is True
    assert [s["last_used_at"] for s in body["sessions"]] == sorted(
        (s["last_used_at"] for s in body["sessions"]), reverse=True
    )


def test_ending_a_session_kills_its_tokens_on_the_next_request(alice, anyone):
    pair, other = sign_in_with(alice)
    assert bearer(pair.access_token).get(SESSIONS).status_code == 200

    response = alice.client.delete(f"{SESSIONS}/{other.id}")

    assert (response.status_code, response.content) == (204, b"")
    assert bearer(pair.access_token).get(SESSIONS).status_code == 401
    refresh = anyone.post("/api/v1/auth/refresh", {"refresh_token": pair.refresh_token}, format="json")
    assert refresh.status_code == 401
    assert alice.client.get(SESSIONS).status_code == 200
    other.refresh_from_db()
    assert other.revoked_reason == "ended_by_user"
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.resource_id, event.actor_id) == ("session.revoked", str(other.id), alice.user.id)
    assert alice.client.delete(f"{SESSIONS}/{other.id}").status_code == 404


def test_the_current_session_can_be_ended(alice):
    assert alice.client.delete(f"{SESSIONS}/{alice.sign_in_id}").status_code == 204
    assert alice.client.get(SESSIONS).status_code == 401


def test_somebody_elses_session_is_as_if_it_did_not_exist(alice, bob, mallory):
    answers = [
        alice.client.delete(f"{SESSIONS}/{session}")
        for session in (bob.sign_in_id, mallory.sign_in_id, uuid.uuid4(), "nonsense", "0", str(bob.sign_in_id)[:-1])
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.content for answer in answers} == {b'{"detail":"Not found.","error_code":"not_found"}'}
    assert not SignIn.objects.exclude(revoked_at=None).exists()


def test_ending_all_others_leaves_this_one(alice, bob):
    pairs = [sign_in_with(alice)[0] for _ in range(3)]

    response = alice.client.post(f"{SESSIONS}/revoke-others")

    assert response.status_code == 200
    assert response.json() == {"message": "All other sessions ended.", "sessions_revoked": 3}
    assert {bearer(pair.access_token).get(SESSIONS).status_code for pair in pairs} == {401}
    assert alice.client.get(SESSIONS).json()["total"] == 1
    assert bob.client.get(SESSIONS).status_code == 200
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.changes) == ("session.all_revoked", {"sign_ins_ended": 3})


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("post", "/revoke-others"), ("delete", f"/{EXAMPLE_ID}")])
def test_a_key_has_no_sessions(acme_key, method, path):
    assert getattr(acme_key(), method)(SESSIONS + path).status_code == 403


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
            "Safari/537.36 Edg/140.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
            "Safari/537.36",
            "Chrome on macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.6 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile "
            "Safari/537.36",
            "Chrome on Android",
        ),
        ("spatialflow-python/3.2.0", "SpatialFlow SDK for Python"),
        ("curl/8.14.1", "curl"),
        ("", "Unknown device"),
        ("Mozilla/5.0", "Unknown device"),
        ("Your account is locked, call +1 555", "Your"),
        ("http://evil.test/ pay here", "http"),
        ("\u202e\r\nBcc: x@evil.test", "Unknown device"),
    ],
)
def test_a_device_in_words(user_agent, words):
    assert in_words(user_agent) == words
