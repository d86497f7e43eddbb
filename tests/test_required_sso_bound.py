"""A sign-in by a workspace's identity provider, of somebody who belongs to other workspaces too: whoever configures the
provider gets no power over the account outside that workspace.
"""

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEvent, Membership, SignIn, User, Workspace
from sso.models import IdentityProvider, SamlSession
from tests.support.cast import PASSWORD, Actor, bearer, make_workspace
from tests.support.required_sso import client_by, sign_in_by
from tests.support.urls import EXAMPLE_ID

pytestmark = pytest.mark.django_db

# What concerns the account as a whole, with a body that would do.
OF_THE_ACCOUNT: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/api/v1/account/me", {"name": "Changed"}),
    ("DELETE", "/api/v1/account/me", {}),
    ("POST", "/api/v1/auth/change-password", {"current_password": PASSWORD, "new_password": "a quiet harbour at dawn"}),
    ("POST", "/api/v1/auth/change-email", {"current_password": PASSWORD, "new_email": "bob@elsewhere.test"}),
    ("POST", "/api/v1/auth/totp", {"current_password": PASSWORD}),
    ("POST", "/api/v1/auth/totp/confirm", {"otp": "123456"}),
    ("POST", "/api/v1/auth/totp/recovery-codes", {"current_password": PASSWORD, "otp": "123456"}),
    ("DELETE", "/api/v1/auth/totp", {"current_password": PASSWORD, "otp": "123456"}),
    ("DELETE", "/api/v1/auth/oauth/google/disconnect", {}),
    ("POST", "/api/v1/auth/sessions/revoke-others", {}),
    ("DELETE", f"/api/v1/auth/sessions/{EXAMPLE_ID}", {}),
    ("POST", "/api/v1/workspaces", {"name": "Another"}),
]
each_of_them = pytest.mark.parametrize(
    ("method", "path", "body"), [pytest.param(*row, id=f"{row[0]} {row[1]}") for row in OF_THE_ACCOUNT]
)


def send(client: APIClient, method: str, path: str, body: dict[str, Any]) -> Any:
    return client.generic(method, path, json.dumps(body), content_type="application/json")


@pytest.fixture
def second(bob: Actor) -> Workspace:
    """Another workspace of Bob's, which is none of acme's business."""
    workspace = make_workspace("second")
    Membership.objects.create(user=bob.user, workspace=workspace, role="owner")
    return workspace


@each_of_them
def test_it_changes_nothing_of_the_account_as_a_whole(bob: Actor, second, method, path, body):
    response = send(client_by(bob), method, path, body)

    assert (response.status_code, response.json()) == (
        403,
        {
            "detail": "Insufficient permissions: account:own concerns your account as a whole, and you belong to other "
            "workspaces, for which this workspace's identity provider does not speak. Sign in another way.",
            "error_code": "insufficient_permissions",
        },
    )
    assert response["WWW-Authenticate"].endswith('error="insufficient_scope", scope="account:own"')
    assert User.objects.filter(id=bob.user.id, name="Bob").exists()


@each_of_them
@pytest.mark.parametrize("belongs_elsewhere", [True, False])
def test_others_may(bob, acme, request, belongs_elsewhere, method, path, body):
    """By a password whoever belongs elsewhere, by the provider whoever belongs to its workspace alone."""
    if belongs_elsewhere:
        request.getfixturevalue("second")
    client = bob.client if belongs_elsewhere else client_by(bob)

    response = send(client, method, path, body)

    assert response.status_code != 403
    assert response.status_code < 500


def test_it_sees_no_other_workspace(bob, second):
    client = client_by(bob)

    shown = client.get("/api/v1/workspaces/available").json()

    assert [workspace["slug"] for workspace in shown["eligible_workspaces"]] == ["acme"]
    assert (shown["eligible_count"], shown["skip_picker"]) == (1, True)
    assert bob.client.get("/api/v1/workspaces/available").json()["eligible_count"] == 2
    renewed = client.post("/api/v1/workspaces/select", {"workspace_id": str(bob.workspace.id)}, format="json")
    assert (renewed.status_code, renewed.json()["eligible_count"]) == (200, 1)


def test_it_sees_and_ends_the_sessions_in_its_workspace_alone(bob, second):
    membership = Membership.objects.get(user=bob.user, workspace=second)
    there = sign_in_by(Actor(bob.user, second, membership, bob.pair, bob.client), "password")
    client = client_by(bob)

    sessions = client.get("/api/v1/auth/sessions").json()
    everywhere = bob.client.get("/api/v1/auth/sessions").json()
    signed_out = client.post("/api/v1/auth/logout")

    assert (sessions["total"], everywhere["total"]) == (2, 3)
    assert {session["workspace_id"] for session in sessions["sessions"]} == {str(bob.workspace.id)}
    assert signed_out.status_code == 200
    assert bearer(there.access_token).get("/api/v1/auth/me").status_code == 200
    assert bob.client.get("/api/v1/auth/me").status_code == client.get("/api/v1/auth/me").status_code == 401
    event = AuditEvent.objects.get(action="auth.signed_out")
    assert event.changes == {"sign_ins_ended": 2}


def test_it_leaves_its_workspace_like_anybody(bob, alice, second):
    client = client_by(bob)

    assert client.get("/api/v1/account/me").status_code == 200
    assert client.post("/api/v1/workspaces/leave").status_code == 204
    assert set(Membership.objects.filter(user=bob.user).values_list("workspace__slug", flat=True)) == {"second"}


def test_a_second_membership_acts_on_the_next_request(bob, django_assert_num_queries):
    client = client_by(bob)
    assert client.put("/api/v1/account/me", {"name": "Bobby"}, format="json").status_code == 200

    Membership.objects.create(user=bob.user, workspace=make_workspace("second"), role="member")

    assert client.put("/api/v1/account/me", {"name": "Robert"}, format="json").status_code == 403


def test_knowing_such_a_caller_still_costs_one_query(bob, second, django_assert_num_queries):
    actor = Actor(bob.user, bob.workspace, bob.membership, sign_in_by(bob), bob.client)
    request = actor.request()

    with django_assert_num_queries(1):
        assert request.auth.is_confined


def test_who_came_by_the_provider_and_belongs_to_its_workspace_alone_deletes_the_account(alice, carol, acme):
    pair = sign_in_by(carol)
    provider = IdentityProvider.objects.create(
        workspace=acme, entity_id="https://idp.test", sso_url="https://idp.test/"
    )
    sign_in = SignIn.objects.get(user=carol.user, method="saml")
    SamlSession.objects.create(sign_in=sign_in, provider=provider, name_id="carol@acme.test")

    response = bearer(pair.access_token).delete("/api/v1/account/me")

    assert response.status_code == 204
    assert not User.objects.filter(id=carol.user.id).exists()
    assert (SamlSession.objects.count(), IdentityProvider.objects.count()) == (0, 1)
