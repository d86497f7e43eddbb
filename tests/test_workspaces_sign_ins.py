"""Ending everybody's sign-ins of a workspace, by its owners, for good."""

from datetime import timedelta
from typing import Any

from accounts.models import Membership, SignIn, Workspace
from accounts.tokens import AccessToken, TokenPair
from tests.support.cast import bearer, make_workspace
from tests.support.trail import last_event
from tests.support.workspaces import URL

pytest_plugins = ["tests.support.manager_fixtures"]


def test_all_sign_ins_of_the_workspace_end_the_owners_own_too(alice, bob, mallory, acme):
    bob.sign_in_again()
    key = alice.key_client()

    response = alice.client.post(URL + "/revoke-all-sessions")

    assert (response.status_code, response.json()) == (
        200,
        {
            "message": "Everybody was signed out of this workspace.",
            "members_affected": 2,
            "sessions_revoked": 3,
            "workspace_id": str(acme.id),
        },
    )
    assert alice.client.get(URL).status_code == bob.client.get(URL).status_code == 401
    assert mallory.client.get(URL).status_code == key.get("/api/v1/geofences").status_code == 200
    event = last_event()
    assert (event.action, event.changes) == ("session.all_revoked", {"sign_ins_ended": 3})


def test_a_sign_in_that_was_elsewhere_meanwhile_cannot_come_back(alice, acme):
    elsewhere = make_workspace("elsewhere")
    Membership.objects.create(user=alice.user, workspace=elsewhere, role="member")
    moved = bearer(select(bearer(alice.sign_in_again().access_token), elsewhere).json()["access_token"])
    alice.client.post(URL + "/revoke-all-sessions")

    refused = select(moved, acme)
    fresh = select(bearer(alice.sign_in_again().access_token), acme)

    assert (refused.status_code, refused.json()) == (
        403,
        {
            "detail": "This workspace has ended all sign-ins since yours began. Sign in again to enter it.",
            "error_code": "sign_in_too_old",
        },
    )
    assert (moved.get(URL).json()["slug"], fresh.status_code) == ("elsewhere", 200)
    assert len(moved.get(URL + "/available").json()["eligible_workspaces"]) == 2


def test_a_sign_in_that_was_on_its_way_when_all_were_ended_is_refused(alice, bob, anyone):
    """It stands in the database as if it had come a moment after the others were ended."""
    late, later = bob.sign_in_again(), bob.sign_in_again()
    alice.client.post(URL + "/revoke-all-sessions")
    for pair, since_the_end in ((late, -1), (later, 1)):
        moment = Workspace.objects.get(id=bob.workspace.id).sign_ins_ended_at + timedelta(seconds=since_the_end)
        row = SignIn.objects.filter(id=AccessToken.read(pair.access_token).sid)
        row.update(revoked_at=None, revoked_reason="", created_at=moment)

    def statuses(pair: TokenPair) -> list[int]:
        body = {"refresh_token": pair.refresh_token}
        entered = bearer(pair.access_token).get(URL).status_code
        return [entered] + [anyone.post("/api/v1/auth/refresh", body, format="json").status_code for _ in range(2)]

    assert statuses(late) == [401, 401, 401]
    assert statuses(later) == [200, 200, 200]


def select(client: Any, workspace: Workspace) -> Any:
    return client.post(URL + "/select", {"workspace_id": str(workspace.id)}, format="json")


def test_only_owners_end_everybodys_sign_ins(manager, carol):
    for actor in (manager, carol):
        assert actor.client.post(URL + "/revoke-all-sessions").status_code == 403
    assert SignIn.objects.live().count() == 2


def test_sign_ins_of_a_workspace_are_all_ended_once_a_minute(alice, mallory):
    other_device = bearer(alice.sign_in_again().access_token)
    assert alice.client.post(URL + "/revoke-all-sessions").status_code == 200
    back = bearer(alice.sign_in_again().access_token)

    answers = [client.post(URL + "/revoke-all-sessions") for client in (other_device, back, mallory.client)]

    assert [answer.status_code for answer in answers] == [401, 429, 200]
    assert 0 < int(answers[1]["Retry-After"]) <= 60
