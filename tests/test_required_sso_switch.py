"""Required single sign-on turned on and off: what people had signed in with before ends, and API keys go on or not."""

from collections import Counter
from contextlib import closing

import pytest
from django.db import connection

from accounts.models import AuditEvent, Membership, SignIn, Workspace
from accounts.sso_requirement import end_overruled_sign_ins, lift, require
from tests.support.cast import PASSWORD, Actor, bearer, make_workspace
from tests.support.mails import delivered
from tests.support.race import Answer, at_once, call
from tests.support.required_sso import LOGIN, demand, person, post, sign_in_by

pytest_plugins = ["tests.support.required_sso_fixtures"]
pytestmark = pytest.mark.django_db

REFRESH = "/api/v1/auth/refresh"
FENCES = "/api/v1/geofences/"


# --- Turning it on and off


def proven(workspace: Workspace, domain: str = "acme.test") -> None:
    demand(workspace, domain)
    Workspace.objects.filter(id=workspace.id).update(requires_sso=False)


def status_of(token: str) -> int:
    status: int = bearer(token).get("/api/v1/auth/me").status_code
    return status


def test_what_was_signed_in_by_another_way_ends(anyone, alice, bob, mallory, guest, acme):
    """In every workspace; people of other domains, and whoever came by the provider, go on."""
    proven(acme)
    elsewhere = Membership.objects.create(user=bob.user, workspace=mallory.workspace, role="member")
    ended = [bob.pair, sign_in_by(Actor(bob.user, mallory.workspace, elsewhere, bob.pair, bob.client), "google")]
    by_provider = sign_in_by(bob)
    of_guest = sign_in_by(Actor(guest, acme, guest.memberships.get(workspace=acme), bob.pair, bob.client), "password")

    count = require(alice.request())

    assert count == 3  # the owner's own as well
    for pair in [*ended, alice.pair]:
        assert status_of(pair.access_token) == 401
        assert post(anyone, REFRESH, refresh_token=pair.refresh_token)[0] == 401
    for pair in (by_provider, of_guest, mallory.pair):
        assert status_of(pair.access_token) == 200
        assert post(anyone, REFRESH, refresh_token=pair.refresh_token)[0] == 200
    assert set(SignIn.objects.exclude(revoked_at=None).values_list("revoked_reason", flat=True)) == {"sso_required"}


def test_owners_are_told_and_the_trail_keeps_it(alice, bob, acme):
    proven(acme)
    Membership.objects.filter(user=bob.user).update(role="owner")
    by_provider = bearer(sign_in_by(alice).access_token)
    actor = Actor(alice.user, acme, alice.membership, sign_in_by(alice), by_provider)

    require(actor.request())
    required = delivered()
    lift(actor.request())
    lifted = delivered()

    for sent, words in ((required, "is required in Acme"), (lifted, "is not required in Acme any more")):
        told_of_it = [mail for mail in sent if words in mail.subject]
        assert sorted(to for mail in told_of_it for to in mail.to) == ["alice@acme.test", "bob@acme.test"]
    events = AuditEvent.objects.filter(action__startswith="sso.").order_by("sequence")
    assert [(e.action, e.changes, e.actor_email, e.workspace_id) for e in events] == [
        ("sso.required", {"sign_ins_ended": 2}, "alice@acme.test", acme.id),
        ("sso.not_required", None, "alice@acme.test", acme.id),
    ]


def test_once_it_is_lifted_a_password_signs_in_again_and_nothing_comes_back_to_life(anyone, alice, acme):
    proven(acme)
    actor = Actor(alice.user, acme, alice.membership, sign_in_by(alice), alice.client)
    require(actor.request())
    SignIn.objects.filter(id=alice.sign_in_id).update(revoked_at=None)  # as one that slipped in meanwhile
    assert status_of(alice.pair.access_token) == 401

    lift(actor.request())

    assert status_of(alice.pair.access_token) == 401
    assert post(anyone, LOGIN, email="alice@acme.test", password=PASSWORD)[0] == 200


@pytest.mark.parametrize("later", ["a domain is proven", "the plan is raised"])
def test_whatever_makes_the_demand_hold_acts_on_the_next_request(anyone, alice, bob, acme, later):
    second = make_workspace("second")
    Membership.objects.create(user=bob.user, workspace=second, role="member")
    if later != "a domain is proven":
        demand(acme)
    Workspace.objects.filter(id=acme.id).update(requires_sso=True, plan="team")
    dave = person("dave@acme.test")
    own = dave.memberships.get()
    pair = sign_in_by(Actor(dave, own.workspace, own, bob.pair, bob.client), "password")
    assert (status_of(pair.access_token), status_of(bob.pair.access_token)) == (200, 200)

    if later == "a domain is proven":
        demand(acme)
    Workspace.objects.filter(id=acme.id).update(plan="business")

    assert (status_of(pair.access_token), status_of(bob.pair.access_token)) == (401, 401)
    assert post(anyone, REFRESH, refresh_token=pair.refresh_token)[0] == 401
    assert post(bob.client, "/api/v1/workspaces/select", workspace_id=str(second.id))[0] == 401


def test_one_domain_more_ends_the_sign_ins_of_its_people(alice, bob, mallory, acme):
    demand(acme, "other.test")

    ended = end_overruled_sign_ins(acme.id)

    assert ended == 1
    assert status_of(mallory.pair.access_token) == 401
    assert status_of(alice.pair.access_token) == 200


def test_a_provider_that_does_not_cover_a_person_does_not_help(alice, mallory, acme):
    """By the identity provider of a workspace that does not own their domain nobody gets past the one that does."""
    abroad = Membership.objects.create(user=alice.user, workspace=mallory.workspace, role="member")
    there = sign_in_by(Actor(alice.user, mallory.workspace, abroad, alice.pair, alice.client))
    by_own = sign_in_by(alice)
    assert status_of(there.access_token) == 200

    demand(acme)

    assert status_of(there.access_token) == 401
    assert status_of(by_own.access_token) == 200


# --- API keys


def test_keys_go_on_unless_the_workspace_decides_otherwise(alice, mallory, acme):
    key, of_other = alice.key_client(["geofences:read"]), mallory.key_client(["geofences:read"])
    demand(acme)
    assert key.get(FENCES).status_code == 200

    Workspace.objects.filter(id=acme.id).update(refuses_keys_under_sso=True)

    refused = key.get(FENCES)
    assert (refused.status_code, refused.json()) == (
        403,
        {
            "detail": "This workspace requires single sign-on and refuses API keys meanwhile. An owner can allow them "
            "in its single sign-on settings.",
            "error_code": "api_keys_refused",
        },
    )
    assert of_other.get(FENCES).status_code == 200


@pytest.mark.parametrize("change", [{"requires_sso": False}, {"plan": "team"}])
def test_keys_are_refused_only_while_single_sign_on_is_required(alice, acme, change):
    key = alice.key_client(["geofences:read"])
    demand(acme)
    Workspace.objects.filter(id=acme.id).update(refuses_keys_under_sso=True)
    assert key.get(FENCES).status_code == 403

    Workspace.objects.filter(id=acme.id).update(**change)

    assert key.get(FENCES).status_code == 200


# --- Races


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_no_login_in_flight_gets_past_the_switch(server, alice, acme, attempt):
    """Logins and the switch at once: whatever a login answered, nothing that it gave works afterwards."""
    proven(acme)
    actor = Actor(alice.user, acme, alice.membership, sign_in_by(alice), alice.client)
    request = actor.request()

    def act(index: int) -> Answer | int:
        if index == 5:
            with closing(connection):
                return require(request)
        return call(server, "POST", LOGIN, {"email": "alice@acme.test", "password": PASSWORD})

    answers = [answer for answer in at_once(10, act) if isinstance(answer, Answer)]

    assert set(Counter(answer.status for answer in answers)) <= {200, 403, 401}
    for answer in answers:
        if answer.status == 200:
            headers = {"Authorization": f"Bearer {answer.body['access_token']}"}
            assert call(server, "GET", "/api/v1/auth/me", headers=headers).status == 401
            assert call(server, "POST", REFRESH, {"refresh_token": answer.body["refresh_token"]}).status == 401
    lift(actor.request())
    for answer in answers:
        if answer.status == 200:
            assert call(server, "POST", REFRESH, {"refresh_token": answer.body["refresh_token"]}).status == 401
    assert SignIn.objects.live().exclude(method="saml").count() == 0
