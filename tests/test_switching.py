"""Moving a sign-in from one workspace to another: what it answers, and that nothing of before goes on."""

import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.models import AuditEvent, CredentialUsage, Membership, SignIn, User, Workspace
from accounts.tokens import AccessToken, RefreshToken
from tests.support.cast import PASSWORD, Actor, bearer, make_workspace
from tests.support.race import Answer, at_once, call
from tests.support.urls import EXAMPLE_ID

SELECT = "/api/v1/workspaces/select"
MOBILE_SELECT = "/api/v1/workspaces/mobile/select"
REFRESH = "/api/v1/auth/refresh"
NOT_A_MEMBER = {
    "detail": "You cannot enter this workspace. See GET /api/v1/workspaces/available for those you can.",
    "error_code": "not_a_member",
}
INVALID_TOKEN = {"detail": "Invalid or expired token", "error_code": "invalid_token"}


@pytest.fixture
def second(alice: Actor) -> Workspace:
    """Another workspace of Alice's, where she is a manager."""
    workspace = make_workspace("second")
    Membership.objects.create(user=alice.user, workspace=workspace, role="manager")
    return workspace


def select(client: Any, workspace: Any, path: str = SELECT) -> Any:
    workspace_id = str(workspace.id) if isinstance(workspace, Workspace) else workspace
    return client.post(path, {"workspace_id": workspace_id}, format="json")


def me(access_token: str) -> Any:
    return bearer(access_token).get("/api/v1/auth/me")


def refresh(anyone: Any, token: str) -> Any:
    return anyone.post(REFRESH, {"refresh_token": token}, format="json")


def row(workspace: Workspace, role: str, members: int, selected: bool) -> dict[str, Any]:
    return {
        "id": str(workspace.id),
        "name": workspace.name,
        "slug": workspace.slug,
        "role": role,
        "logo_url": None,
        "timezone": "UTC",
        "unit_system": "imperial",
        "is_selected": selected,
        "member_count": members,
        "tracking_consent_required": False,
    }


@pytest.mark.parametrize("path", ["available", "mobile/bootstrap"])
def test_the_choices_are_the_workspaces_one_is_a_member_of(alice, bob, acme, second, mallory, path):
    response = alice.client.get(f"/api/v1/workspaces/{path}")

    here = row(acme, "owner", 2, selected=True)
    assert (response.status_code, response.json()) == (
        200,
        {
            "eligible_workspaces": [here, row(second, "manager", 1, selected=False)],
            "eligible_count": 2,
            "selected_workspace_id": str(acme.id),
            "selected_workspace": here,
            "skip_picker": False,
            "selection_required": True,
        },
    )


def test_with_one_workspace_there_is_nothing_to_pick(carol, acme):
    body = carol.client.get("/api/v1/workspaces/available").json()

    assert (body["eligible_count"], body["skip_picker"], body["selection_required"]) == (1, True, False)


def test_a_suspended_workspace_is_no_choice(alice, second):
    Workspace.objects.filter(id=second.id).update(suspended_at=timezone.now())

    assert alice.client.get("/api/v1/workspaces/available").json()["eligible_count"] == 1
    assert select(alice.client, second).json() == NOT_A_MEMBER


@pytest.mark.parametrize("path", [SELECT, MOBILE_SELECT])
def test_a_selection_answers_tokens_of_the_chosen_workspace(anyone, alice, acme, second, path):
    response = select(alice.client, second, path)

    body = response.json()
    pair = {name: body.pop(name) for name in ("access_token", "refresh_token")}
    user = body.pop("user")
    there = row(second, "manager", 1, selected=True)
    assert response.status_code == 200
    assert body == {
        "eligible_workspaces": [row(acme, "owner", 1, selected=False), there],
        "eligible_count": 2,
        "selected_workspace_id": str(second.id),
        "selected_workspace": there,
        "skip_picker": False,
        "selection_required": False,
        "token_type": "Bearer",
        "expires_in": 14_400,
    }
    assert (user["workspace_slug"], user["role"]) == ("second", "manager")
    assert me(pair["access_token"]).json() == user
    assert refresh(anyone, pair["refresh_token"]).json()["user"] == user


def test_the_browsers_refresh_cookie_follows_and_an_app_gets_none(alice, second):
    pair = select(alice.client, second)
    mobile = select(bearer(pair.json()["access_token"]), second, MOBILE_SELECT)

    assert pair.cookies["spatialflow_refresh"].value == pair.json()["refresh_token"]
    assert pair.cookies["spatialflow_refresh"]["httponly"] and pair.cookies["spatialflow_refresh"]["secure"]
    assert mobile.status_code == 200 and not mobile.cookies


def test_the_same_sign_in_moves(alice, second):
    before = SignIn.objects.get()

    body = select(alice.client, second).json()

    after = SignIn.objects.get()
    assert (after.id, after.workspace_id, after.expires_at) == (before.id, second.id, before.expires_at)
    assert after.current_jti == RefreshToken.read(body["refresh_token"]).jti != before.current_jti
    assert after.previous_jti is None
    assert AccessToken.read(body["access_token"]).sid == before.id
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.workspace_id, event.actor_id) == ("workspace.selected", second.id, alice.user.id)


def test_the_next_login_starts_in_the_workspace_chosen_last(anyone, alice, second):
    select(alice.client, second)

    login = anyone.post("/api/v1/auth/login", {"email": "alice@acme.test", "password": PASSWORD}, format="json")

    assert login.json()["user"]["workspace_slug"] == "second"


def test_every_token_of_before_is_dead(anyone, alice, second):
    pair = select(alice.client, second).json()

    assert me(alice.pair.access_token).json() == INVALID_TOKEN
    assert refresh(anyone, alice.pair.refresh_token).json() == INVALID_TOKEN
    assert refresh(anyone, pair["refresh_token"]).status_code == 200  # a mere race with the switch ends nothing


def test_also_after_going_there_and_back_within_a_second(anyone, alice, acme, second):
    there = select(alice.client, second).json()
    back = select(bearer(there["access_token"]), acme).json()

    for pair in (vars_of(alice), there):
        assert me(pair["access_token"]).json() == INVALID_TOKEN
        assert refresh(anyone, pair["refresh_token"]).json() == INVALID_TOKEN
    assert me(back["access_token"]).json()["workspace_slug"] == "acme"
    assert refresh(anyone, back["refresh_token"]).status_code == 200


def test_also_after_renewing_the_same_workspace(alice, acme):
    renewed = select(alice.client, acme).json()

    assert me(alice.pair.access_token).json() == INVALID_TOKEN
    assert me(renewed["access_token"]).status_code == 200


def test_a_refresh_token_of_before_that_turns_up_later_ends_the_sign_in(anyone, alice, second):
    pair = select(alice.client, second).json()
    SignIn.objects.update(switched_at=F("switched_at") - 11 * SECOND, rotated_at=F("rotated_at") - 11 * SECOND)

    assert refresh(anyone, alice.pair.refresh_token).json() == INVALID_TOKEN
    assert refresh(anyone, pair["refresh_token"]).json() == INVALID_TOKEN
    assert SignIn.objects.get().revoked_reason == "refresh_reuse"


SECOND = timedelta(seconds=1)


def vars_of(actor: Actor) -> dict[str, str]:
    return {"access_token": actor.pair.access_token, "refresh_token": actor.pair.refresh_token}


def test_other_sign_ins_stay_where_they_are(alice, second):
    other = alice.sign_in_again()

    select(alice.client, second)

    assert me(other.access_token).json()["workspace_slug"] == "acme"


@pytest.mark.parametrize("path", [SELECT, MOBILE_SELECT])
def test_nobody_enters_a_workspace_without_being_a_member(alice, mallory, path):
    ids = [mallory.workspace, EXAMPLE_ID, "acme", "x" * 100, "é", EXAMPLE_ID.replace("-", "")]
    answers = [select(alice.client, workspace, path) for workspace in ids]

    assert {answer.status_code for answer in answers} == {403}
    assert {answer.content for answer in answers} == {answers[0].content}
    assert answers[0].json() == NOT_A_MEMBER
    assert me(alice.pair.access_token).json()["workspace_slug"] == "acme"
    assert User.objects.get(id=alice.user.id).last_workspace is None


@pytest.mark.parametrize("value", [None, "", [], {}, True, "x" * 101])
def test_a_selection_names_a_workspace(alice, value):
    response = select(alice.client, value)

    assert (response.status_code, list(response.json()["details"])) == (422, ["workspace_id"])


@pytest.mark.parametrize("change", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now()}])
def test_a_sign_in_that_ended_moves_nowhere(alice, second, change):
    SignIn.objects.update(**change)

    assert (select(alice.client, second).status_code, SignIn.objects.get().workspace.slug) == (401, "acme")


def test_a_sign_in_by_a_workspaces_identity_provider_stays_there(alice, acme, second):
    SignIn.objects.update(method="saml")

    refused = select(alice.client, second)
    renewed = select(alice.client, acme)

    assert (refused.status_code, refused.json()["error_code"]) == (403, "sign_in_bound_to_workspace")
    assert (renewed.status_code, SignIn.objects.get().workspace_id) == (200, acme.id)


def test_a_key_moves_nowhere(alice, second):
    assert select(alice.key_client(), second).status_code == 403
    assert SignIn.objects.get().workspace.slug == "acme"


def test_a_demanded_second_factor_does_not_keep_a_person_from_other_workspaces(alice, second):
    Workspace.objects.filter(slug="acme").update(requires_second_factor=True)

    response = select(alice.client, second)

    assert (alice.client.get("/api/v1/workspaces").status_code, response.status_code) == (401, 200)
    assert bearer(response.json()["access_token"]).get("/api/v1/workspaces").json()["slug"] == "second"


# Races

real = pytest.mark.django_db(transaction=True)


def send_select(server: str, actor: Actor, workspace: Workspace) -> Answer:
    headers = {"Authorization": f"Bearer {actor.pair.access_token}"}
    return call(server, "POST", SELECT, {"workspace_id": str(workspace.id)}, headers)


def assert_one_live_refresh_token(server: str, answers: list[Answer]) -> None:
    """The row names one; every other that was handed out is refused."""
    current = SignIn.objects.get().current_jti
    handed_out = {answer.body["refresh_token"] for answer in answers if answer.status == 200}
    dead = [token for token in handed_out if RefreshToken.read(token).jti != current]
    assert len(handed_out) - len(dead) == 1
    for token in dead:
        assert call(server, "POST", REFRESH, {"refresh_token": token}).status == 401
    (live,) = handed_out - set(dead)
    assert call(server, "POST", REFRESH, {"refresh_token": live}).status == 200


@real
@pytest.mark.parametrize("places", [["second"], ["acme"], ["second", "acme"]])
def test_of_selections_at_once_one_succeeds(server, alice, acme, second, places):
    workspaces = {"acme": acme, "second": second}

    answers = at_once(12, lambda index: send_select(server, alice, workspaces[places[index % len(places)]]))

    assert Counter(answer.status for answer in answers) == {200: 1, 401: 11}
    assert_one_live_refresh_token(server, answers)


@real
@pytest.mark.parametrize("attempt", range(3))
def test_a_selection_and_refreshes_at_once_leave_one_live_refresh_token(server, alice, second, attempt):
    def act(index: int) -> Answer:
        if index == 3:
            return send_select(server, alice, second)
        return call(server, "POST", REFRESH, {"refresh_token": alice.pair.refresh_token})

    answers = at_once(8, act)

    assert {answer.status for answer in answers} <= {200, 401}
    assert answers[3].status == 200
    assert SignIn.objects.get().workspace_id == second.id
    assert_one_live_refresh_token(server, answers)


@real
def test_a_selection_and_a_logout_at_once_leave_nothing_alive(server, alice, second):
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(index: int) -> Answer:
        if index == 0:
            return call(server, "POST", "/api/v1/auth/logout", headers=headers)
        return send_select(server, alice, second)

    answers = at_once(8, act)

    for answer in answers[1:]:
        if answer.status == 200 and answers[0].status == 200:
            assert call(server, "POST", REFRESH, {"refresh_token": answer.body["refresh_token"]}).status == 401


@real
@pytest.mark.parametrize("counts_in", ["server", "redis_server"])
def test_requests_count_for_the_workspace_they_were_made_in_and_for_one_limit(request, acme, alice, counts_in):
    """The plan's limit goes on where the sign-in was before: moving to and fro gives nobody more."""
    base = request.getfixturevalue(counts_in)
    elsewhere = make_workspace("elsewhere", plan="free")
    Membership.objects.create(user=alice.user, workspace=elsewhere, role="owner")
    token = alice.pair.access_token
    left = []
    for workspace in (elsewhere, acme, elsewhere):
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(3):
            answer = call(base, "GET", "/api/v1/geofences/", None, headers)
            left.append(int(answer.headers["ratelimit-limit"]) - int(answer.headers["ratelimit-remaining"]))
        moved = call(base, "POST", "/api/v1/workspaces/select", {"workspace_id": str(workspace.id)}, headers)
        token = moved.body["access_token"]

    assert left == [1, 2, 3, 5, 6, 7, 9, 10, 11]
    deadline = time.monotonic() + 10
    while sum(CredentialUsage.objects.values_list("requests", flat=True)) < 12 and time.monotonic() < deadline:
        time.sleep(0.1)
    counted = dict(CredentialUsage.objects.values_list("workspace_id", "requests"))
    assert counted == {acme.id: 8, elsewhere.id: 4}


@real
def test_the_limit_is_used_up_elsewhere(alice):
    """A sign-in comes with what it has spent, and is refused at its first request where that is everything."""
    elsewhere = make_workspace("elsewhere", plan="free")
    Membership.objects.create(user=alice.user, workspace=elsewhere, role="owner")
    alice.client.get("/api/v1/auth/me")
    CredentialUsage.objects.update(requests=999)
    moved = bearer(select(alice.client, elsewhere).json()["access_token"])

    refused = moved.get("/api/v1/auth/me")

    assert (refused.status_code, refused.json()["limit"]) == (429, 1000)
    rows = CredentialUsage.objects.order_by("requests").values_list("workspace_id", "requests", "refusals")
    assert list(rows) == [(elsewhere.id, 0, 1), (alice.workspace.id, 1000, 0)]
