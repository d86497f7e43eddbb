"""Inviting people: who may, what they are sent, and what becomes of an invitation until it is accepted."""

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.db.models import F
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import members
from accounts.audit import Action
from accounts.mailed_tokens import digest
from accounts.models import AuditEvent, Invitation, OutgoingMail, User, Workspace
from accounts.outbox import deliver_pending
from tests.support.cast import Actor, enter
from tests.support.race import at_once, call
from tests.support.urls import EXAMPLE_ID

INVITATIONS = "/api/v1/workspaces/invitations"
RESEND_MISSING = f"{INVITATIONS}/resend-missing"
NOT_FOUND = {"detail": "Not found.", "error_code": "not_found"}
OWNERS_ONLY = {
    "detail": "Only owners may invite owners and change such invitations.",
    "error_code": "owners_only",
}
REVOKED = {
    "detail": "This invitation was cancelled, or replaced by a newer one; use that.",
    "error_code": "invitation_revoked",
}
ACCEPTED = {"detail": "This invitation was accepted already; its person can sign in.", "error_code": "invitation_used"}
EXPIRED = {"detail": "This invitation has expired; a new one is needed.", "error_code": "invitation_expired"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(acme: Workspace) -> Actor:
    return enter("bob", "manager", acme)


def invite(client: APIClient, email: str = "dana@else.test", role: str = "field_worker") -> dict[str, Any]:
    response = client.post(INVITATIONS, {"email": email, "role": role}, format="json")
    assert response.status_code == 201, response.json()
    return response.json()


def listed(client: APIClient, **query: Any) -> list[str]:
    return [invitation["email"] for invitation in client.get(INVITATIONS, query).json()["invitations"]]


def token_of(issued: dict[str, Any]) -> str:
    return parse_qs(urlsplit(issued["invite_link"]).query)["token"][0]


def shown(issued: dict[str, Any]) -> dict[str, Any]:
    """Return an invitation as every later answer shows it."""
    return {name: value for name, value in issued.items() if name not in ("invite_link", "invite_ttl_hours")}


def last_event() -> AuditEvent:
    return AuditEvent.objects.order_by("-sequence")[0]


def test_an_invitation_is_answered_with_its_link_which_is_mailed_too(alice: Actor, settings):
    response = alice.client.post(INVITATIONS, {"email": " Dana@ELSE.test ", "role": "member"}, format="json")

    body = response.json()
    row = Invitation.objects.get()
    token = token_of(body)
    assert response.status_code == 201
    assert body == {
        "id": str(row.id),
        "email": "dana@else.test",
        "role": "member",
        "status": "pending",
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        "expires_at": row.expires_at.isoformat().replace("+00:00", "Z"),
        "invited_by_email": "alice@acme.test",
        "invite_link": f"{settings.PUBLIC_URL}/accept-invite?invite_id={row.id}&token={token}",
        "invite_ttl_hours": 168,
    }
    assert (row.workspace, row.invited_by, row.expires_at - row.created_at) == (
        alice.workspace,
        alice.user,
        timedelta(days=7),
    )
    assert len(token) == 43 and bytes(row.digest) == digest(token)

    deliver_pending()
    (message,) = mail.outbox
    assert (message.to, message.subject) == (["dana@else.test"], "You are invited to Acme")
    assert body["invite_link"] in message.body.split()
    assert "alice@acme.test invites you to the workspace Acme in SpatialFlow, as member." in message.body


def test_no_token_lies_in_the_database(alice: Actor):
    token = token_of(invite(alice.client))

    stored = str(list(Invitation.objects.values())) + str(list(OutgoingMail.objects.values()))
    assert token not in stored + str(list(AuditEvent.objects.values()))
    assert token not in str(alice.client.get(INVITATIONS).json())


def test_an_invitation_is_in_the_trail_with_the_address_where_it_can_be_erased(alice: Actor):
    issued = invite(alice.client, role="manager")

    event = last_event()
    assert (event.action, event.resource_id, event.changes) == (
        "invitation.created",
        issued["id"],
        {"role": "manager"},
    )
    assert (event.actor_id, event.target_id, event.target_email) == (alice.user.id, None, "dana@else.test")
    assert "dana" not in f"{event.description} {event.changes}"


@pytest.mark.parametrize("body", [{"email": "dana@else.test"}, {"email": "dana@else.test", "role": None}])
def test_without_a_role_the_invited_becomes_a_field_worker(alice: Actor, body):
    assert alice.client.post(INVITATIONS, body, format="json").json()["role"] == "field_worker"


@pytest.mark.parametrize("role", ["owner", "manager", "field_worker", "member"])
def test_owners_invite_to_any_role_and_managers_to_any_but_owner(alice: Actor, manager: Actor, role):
    assert invite(alice.client, role=role)["role"] == role

    response = manager.client.post(INVITATIONS, {"email": "eve@else.test", "role": role}, format="json")

    assert response.status_code == (403 if role == "owner" else 201)
    if role == "owner":
        assert response.json() == OWNERS_ONLY
        assert Invitation.objects.count() == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("post", ""),
        ("post", "/resend-missing"),
        ("post", f"/{EXAMPLE_ID}/resend"),
        ("patch", f"/{EXAMPLE_ID}"),
        ("delete", f"/{EXAMPLE_ID}"),
    ],
)
@pytest.mark.parametrize("role", ["field_worker", "member"])
def test_others_have_nothing_to_do_with_invitations(acme: Workspace, role, method, path):
    client = enter("carol", role, acme).client

    response = getattr(client, method)(INVITATIONS + path, {"email": "x@else.test"} if method != "get" else None)

    assert (response.status_code, response.json()["error_code"]) == (403, "insufficient_permissions")
    assert not Invitation.objects.exists()


def test_nobody_invites_themselves_or_a_member_but_people_of_other_workspaces(alice: Actor, bob: Actor, mallory: Actor):
    own = alice.client.post(INVITATIONS, {"email": "ALICE@acme.test"}, format="json")
    member = alice.client.post(INVITATIONS, {"email": "bob@acme.test"}, format="json")

    assert (own.status_code, own.json()["error_code"]) == (400, "self_invitation")
    assert (member.status_code, member.json()["error_code"]) == (400, "already_member")
    assert invite(alice.client, "mallory@other.test")["status"] == "pending"


def test_an_unverified_person_invites_nobody(alice: Actor):
    issued = invite(alice.client)
    User.objects.update(email_verified_at=None)

    for path in ("", f"/{issued['id']}/resend", "/resend-missing"):
        response = alice.client.post(INVITATIONS + path, {"email": "eve@else.test"}, format="json")
        assert (response.status_code, response.json()["error_code"]) == (403, "email_not_verified")
    assert Invitation.objects.count() == 1


def test_a_second_invitation_of_an_address_ends_the_first(alice: Actor, manager: Actor):
    first = invite(alice.client)
    Invitation.objects.update(expires_at=timezone.now())  # even one that has expired

    second = invite(manager.client)

    assert [row.status for row in Invitation.objects.order_by("created_at")] == ["revoked", "pending"]
    assert [invitation["id"] for invitation in alice.client.get(INVITATIONS).json()["invitations"]] == [second["id"]]
    deliver_pending()
    assert [first["id"] in message.body for message in mail.outbox] == [False]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": None}, "email"),
        ({"email": "dana"}, "email"),
        ({"email": ["dana@else.test"]}, "email"),
        ({"email": {"a": 1}}, "email"),
        ({"email": "d" * 2000 + "@else.test"}, "email"),
        ({"email": "dana@else.test", "role": "admin"}, "role"),
        ({"email": "dana@else.test", "role": ["owner"]}, "role"),
        ([], "body"),
    ],
)
def test_a_bad_field_is_named(alice: Actor, body, field):
    response = alice.client.post(INVITATIONS, body, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, [field])


def test_a_hundred_and_first_invitation_waits_and_refusals_do_not_count(alice: Actor, manager: Actor):
    def ask(client: APIClient, email: str, role: str = "member") -> int:
        return client.post(INVITATIONS, {"email": email, "role": role}, format="json").status_code

    assert [ask(manager.client, "x@else.test", "owner") for _ in range(3)] == [403] * 3
    assert ask(alice.client, "bob@acme.test") == 400
    assert [ask(alice.client, f"p{n}@else.test") for n in range(101)] == [201] * 100 + [429]
    assert ask(manager.client, "x@else.test") == 201


def test_the_list_holds_what_is_pending_newest_first_and_no_token(alice: Actor, mallory: Actor):
    invite(mallory.client, "stranger@else.test")
    kept = [invite(alice.client, f"p{n}@else.test") for n in range(5)]
    gone = [Invitation.objects.filter(id=invitation["id"]) for invitation in kept[:3]]
    gone[0].update(used_at=timezone.now())
    gone[1].update(revoked_at=timezone.now())
    gone[2].update(expires_at=timezone.now())

    response = alice.client.get(INVITATIONS)

    assert response.json() == {"invitations": [shown(kept[4]), shown(kept[3])], "total": 2, "next_cursor": None}


def test_an_invitation_outlives_whoever_made_it(alice: Actor):
    invite(alice.client)
    Invitation.objects.update(invited_by=None)

    assert alice.client.get(INVITATIONS).json()["invitations"][0]["invited_by_email"] is None


def test_a_walk_by_cursor_meets_each_row_once_whatever_changes_behind_it(alice: Actor):
    for number in range(5):
        invite(alice.client, f"p{number}@else.test")
    Invitation.objects.update(created_at=F("expires_at"))  # two at the same moment are told apart by id
    moment = Invitation.objects.get(email="p3@else.test").created_at
    Invitation.objects.filter(email="p2@else.test").update(created_at=moment)
    expected = list(Invitation.objects.order_by("-created_at", "id").values_list("email", flat=True))

    first = alice.client.get(INVITATIONS, {"limit": 2}).json()
    Invitation.objects.filter(email__in=expected[:2]).update(revoked_at=timezone.now())
    second = alice.client.get(INVITATIONS, {"limit": 2, "before": first["next_cursor"]}).json()
    third = alice.client.get(INVITATIONS, {"limit": 2, "before": second["next_cursor"]}).json()

    met = [row["email"] for page in (first, second, third) for row in page["invitations"]]
    assert met == expected
    assert (first["total"], second["total"], third["next_cursor"]) == (5, 3, None)
    assert re.fullmatch(r"[\d-]{10}T[\d:.]+Z,[0-9a-f-]{36}", first["next_cursor"])


def test_a_page_has_at_most_a_hundred_rows_and_offsets_work(alice: Actor):
    Invitation.objects.bulk_create(
        Invitation(
            workspace=alice.workspace,
            email=f"p{number}@else.test",
            role="member",
            digest=digest(str(number)),
            created_at=timezone.now() - timedelta(minutes=number),
            expires_at=timezone.now() + timedelta(days=1),
        )
        for number in range(103)
    )

    for query, count in (({}, 100), ({"limit": 500}, 100), ({"offset": 100}, 3), ({"offset": 2**31 - 1}, 0)):
        page = alice.client.get(INVITATIONS, query).json()
        assert (len(page["invitations"]), page["total"]) == (count, 103)
        assert (page["next_cursor"] is None) == (count < 100)
    assert listed(alice.client, limit=1, offset=102) == ["p102@else.test"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"limit": 0}, 422, "validation_error"),
        ({"limit": "x"}, 422, "validation_error"),
        ({"offset": -1}, 422, "validation_error"),
        ({"offset": 2**80}, 422, "validation_error"),
        ({"before": "yesterday"}, 400, "invalid_cursor"),
        ({"before": f"2026-01-01T00:00:00Z,{EXAMPLE_ID}x"}, 400, "invalid_cursor"),
        ({"before": f"0001-01-01T00:00:00+23:59,{EXAMPLE_ID}"}, 400, "invalid_cursor"),
        ({"before": f"9999-12-31T23:59:59.999999,{EXAMPLE_ID}"}, 200, None),
        ({"before": "\0"}, 422, "validation_error"),
    ],
)
def test_odd_pages(alice: Actor, query, status, code):
    response = alice.client.get(INVITATIONS, query)

    assert (response.status_code, response.json().get("error_code")) == (status, code)


def test_resending_replaces_the_invitation(alice: Actor, manager: Actor):
    former = invite(alice.client)

    response = manager.client.post(f"{INVITATIONS}/{former['id']}/resend")

    body = response.json()
    assert response.status_code == 200
    assert {**body, **{name: former[name] for name in ("id", "created_at", "expires_at", "invite_link")}} == {
        **former,
        "invited_by_email": "bob@acme.test",
    }
    assert token_of(body) != token_of(former) and body["id"] in body["invite_link"]
    assert [row.status for row in Invitation.objects.order_by("created_at")] == ["revoked", "pending"]
    event = last_event()
    assert (event.action, event.resource_id, event.changes) == (
        "invitation.resent",
        body["id"],
        {"replaces": former["id"]},
    )
    deliver_pending()
    assert [body["invite_link"] in message.body for message in mail.outbox] == [True]


CLOSED = {
    "revoked": ({"revoked_at": timezone.now()}, REVOKED),
    "accepted": ({"used_at": timezone.now()}, ACCEPTED),
    "expired": ({"expires_at": timezone.now()}, EXPIRED),
}


@pytest.mark.parametrize("state", CLOSED)
def test_only_a_pending_invitation_is_resent(alice: Actor, state):
    issued = invite(alice.client)
    change, refusal = CLOSED[state]
    Invitation.objects.update(**change)

    response = alice.client.post(f"{INVITATIONS}/{issued['id']}/resend")

    assert (response.status_code, response.json()) == (400, refusal)
    assert Invitation.objects.count() == 1


def test_an_eleventh_resending_waits_and_refusals_do_not_count(alice: Actor, manager: Actor):
    owners, ours = invite(alice.client, role="owner"), invite(alice.client, "eve@else.test")
    for _ in range(11):
        assert manager.client.post(f"{INVITATIONS}/{owners['id']}/resend").json() == OWNERS_ONLY

    for _ in range(10):
        ours = manager.client.post(f"{INVITATIONS}/{ours['id']}/resend").json()
    response = manager.client.post(f"{INVITATIONS}/{ours['id']}/resend")

    assert (response.status_code, response.json()["limit"]) == (429, 10)
    assert listed(alice.client) == ["eve@else.test", "dana@else.test"]


def test_extending_keeps_the_link_and_sends_nothing(alice: Actor):
    issued = invite(alice.client)
    deliver_pending()
    Invitation.objects.update(expires_at=timezone.now())  # an expired one comes back
    moment = timezone.now() + timedelta(days=30)

    response = alice.client.patch(f"{INVITATIONS}/{issued['id']}", {"expires_at": moment.isoformat()}, format="json")

    assert response.status_code == 200
    assert response.json() == {**shown(issued), "expires_at": moment.isoformat().replace("+00:00", "Z")}
    row = Invitation.objects.get()
    assert (row.expires_at, bytes(row.digest), deliver_pending()) == (moment, digest(token_of(issued)), 0)
    assert (last_event().action, last_event().changes) == ("invitation.extended", {"expires_at": moment.isoformat()})


@pytest.mark.parametrize(
    "expires_at",
    [
        None,
        "",
        "tomorrow",
        True,
        7,
        ["2026-01-01"],
        "2020-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        pytest.param((datetime.now() + timedelta(days=91)).isoformat(), id="91 days"),
    ],
)
def test_an_invitation_ends_within_ninety_days(alice: Actor, expires_at):
    issued = invite(alice.client)
    path = f"{INVITATIONS}/{issued['id']}"

    response = alice.client.patch(path, {"expires_at": expires_at}, format="json")

    assert (response.status_code, list(response.json()["details"])) == (422, ["expires_at"])
    moment = timezone.now() + timedelta(days=89)
    assert alice.client.patch(path, {"expires_at": moment.isoformat()}, format="json").status_code == 200


@pytest.mark.parametrize("state", ["revoked", "accepted"])
def test_an_invitation_that_ended_is_neither_extended_nor_cancelled(alice: Actor, state):
    issued = invite(alice.client)
    change, refusal = CLOSED[state]
    Invitation.objects.update(**change)
    moment = (timezone.now() + timedelta(days=3)).isoformat()

    extended = alice.client.patch(f"{INVITATIONS}/{issued['id']}", {"expires_at": moment}, format="json")
    cancelled = alice.client.delete(f"{INVITATIONS}/{issued['id']}")

    assert (extended.status_code, extended.json()) == (cancelled.status_code, cancelled.json()) == (400, refusal)


@pytest.mark.parametrize("expires_in", [timedelta(days=1), timedelta(0)])
def test_cancelling_ends_it_even_an_expired_one(manager: Actor, expires_in):
    issued = invite(manager.client)
    Invitation.objects.update(expires_at=timezone.now() + expires_in)

    response = manager.client.delete(f"{INVITATIONS}/{issued['id']}")

    assert (response.status_code, response.json()) == (200, {"message": "Invitation cancelled.", "success": True})
    assert Invitation.objects.get().status == "revoked"
    assert (last_event().action, last_event().target_email) == ("invitation.cancelled", "dana@else.test")
    assert (deliver_pending(), mail.outbox) == (1, [])  # its mail finds nothing to say


def act_on(client: APIClient, invite_id: str) -> list[tuple[int, Any]]:
    """Try everything that takes an invitation's id."""
    moment = (timezone.now() + timedelta(days=3)).isoformat()
    answers = [
        client.post(f"{INVITATIONS}/{invite_id}/resend"),
        client.patch(f"{INVITATIONS}/{invite_id}", {"expires_at": moment}, format="json"),
        client.delete(f"{INVITATIONS}/{invite_id}"),
    ]
    return [(answer.status_code, answer.json()) for answer in answers]


def test_managers_leave_invitations_of_owners_alone(alice: Actor, manager: Actor):
    issued = invite(alice.client, role="owner")

    assert act_on(manager.client, issued["id"]) == [(403, OWNERS_ONLY)] * 3
    assert [status for status, _ in act_on(alice.client, issued["id"])] == [200, 400, 400]


@pytest.mark.parametrize("invite_id", [EXAMPLE_ID, "x", "%00", "1" * 300])
def test_a_strangers_invitation_and_an_absent_one_are_the_same_nothing(alice: Actor, mallory: Actor, invite_id):
    issued = invite(alice.client)

    assert act_on(mallory.client, issued["id"]) == act_on(mallory.client, invite_id) == [(404, NOT_FOUND)] * 3
    assert Invitation.objects.get().status == "pending"


def batch(client: APIClient, **body: Any) -> dict[str, Any]:
    response = client.post(RESEND_MISSING, body, format="json")
    assert response.status_code == 200, response.json()
    return response.json()


def test_a_batch_resends_the_named_and_reports_the_others(alice: Actor, manager: Actor, mallory: Actor):
    good, owners, used = (
        invite(alice.client, f"{name}@else.test", role)
        for name, role in (("a", "member"), ("b", "owner"), ("c", "member"))
    )
    foreign = invite(mallory.client)
    Invitation.objects.filter(id=used["id"]).update(used_at=timezone.now())
    names = [foreign["id"], good["id"], owners["id"], "not an id", used["id"], good["id"]]

    body = batch(manager.client, invitation_ids=names)

    successor = body["results"][1]["invitation"]
    skipped = {"status": "skipped", "invitation": None}
    assert body == {
        "results": [
            {"invitation_id": foreign["id"], **skipped, **NOT_FOUND},
            {
                "invitation_id": good["id"],
                "status": "resent",
                "invitation": successor,
                "detail": None,
                "error_code": None,
            },
            {"invitation_id": owners["id"], **skipped, **OWNERS_ONLY},
            {"invitation_id": "not an id", **skipped, **NOT_FOUND},
            {"invitation_id": used["id"], **skipped, **ACCEPTED},
        ],
        "resent_count": 1,
        "skipped_count": 4,
        "next_cursor": None,
        "remaining_count": 0,
    }
    assert successor["invited_by_email"] == "bob@acme.test"
    assert Invitation.objects.get(id=good["id"]).status == "revoked"
    assert Invitation.objects.get(digest=digest(token_of(successor))).status == "pending"
    assert AuditEvent.objects.filter(action=Action.INVITATION_RESENT).count() == 1
    deliver_pending()
    assert sum(successor["invite_link"] in message.body for message in mail.outbox) == 1


def test_a_walk_of_batches_reaches_the_oldest_row_and_resends_each_once(alice: Actor):
    now = timezone.now()
    Invitation.objects.bulk_create(
        Invitation(
            workspace=alice.workspace,
            email=f"p{number}@else.test",
            role="member",
            digest=digest(str(number)),
            created_at=now - timedelta(hours=number // 2),
            expires_at=now + timedelta(days=1),
        )
        for number in range(405)
    )

    pages = [batch(alice.client)]
    while pages[-1]["next_cursor"]:
        pages.append(batch(alice.client, before=pages[-1]["next_cursor"], invitation_ids=None))

    assert [(page["resent_count"], page["remaining_count"]) for page in pages] == [(200, 205), (200, 5), (5, 0)]
    assert len({row["invitation"]["email"] for page in pages for row in page["results"]}) == 405
    assert Invitation.objects.pending().count() == 405
    assert not Invitation.objects.pending().filter(created_at__lt=now).exists()


def test_an_empty_batch_does_nothing(alice: Actor):
    nothing = {"results": [], "resent_count": 0, "skipped_count": 0, "next_cursor": None, "remaining_count": 0}

    assert batch(alice.client) == batch(alice.client, invitation_ids=[]) == nothing


def test_a_batch_is_charged_once_and_not_at_all_when_nothing_can_be_resent(alice: Actor, manager: Actor):
    owners = invite(alice.client, role="owner")
    for _ in range(11):
        batch(manager.client, invitation_ids=[owners["id"], EXAMPLE_ID])
    for number in range(3):
        invite(alice.client, f"p{number}@else.test")

    for _ in range(10):
        assert batch(manager.client)["resent_count"] == 3
    response = manager.client.post(RESEND_MISSING, {}, format="json")

    assert (response.status_code, response.json()["limit"]) == (429, 10)
    assert batch(manager.client, invitation_ids=[owners["id"]])["skipped_count"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"invitation_ids": "all"}, 422),
        ({"invitation_ids": {"a": 1}}, 422),
        ({"invitation_ids": [None]}, 422),
        ({"invitation_ids": [["x"]]}, 422),
        ({"invitation_ids": ["x"] * 201}, 422),
        ({"before": "x"}, 400),
        ({"before": 7}, 400),
        ({"before": ["x"]}, 422),
        ([1], 422),
    ],
)
def test_odd_batches(alice: Actor, body, status):
    assert alice.client.post(RESEND_MISSING, body, format="json").status_code == status


def test_who_leaves_takes_their_open_invitations_along(alice: Actor, manager: Actor):
    """They have seen the links, which would let them in again."""
    invite(manager.client)
    invite(alice.client, "eve@else.test")

    members.remove(alice.request(), str(manager.user.id))

    assert listed(alice.client) == ["eve@else.test"]


@pytest.mark.parametrize(("role", "left"), [("manager", ["eve@else.test"]), ("field_worker", [])])
def test_a_lowered_role_ends_the_invitations_that_it_could_not_make(acme: Workspace, alice: Actor, role, left):
    second = enter("bob", "owner", acme)
    invite(second.client, "dana@else.test", "owner")
    invite(second.client, "eve@else.test", "manager")

    members.change_role(alice.request(), str(second.user.id), role)

    assert listed(alice.client) == left


def test_a_name_of_many_lines_does_not_break_the_mail(alice: Actor):
    Workspace.objects.update(name="Acme\r\nBcc: all@else.test")
    invite(alice.client)

    assert deliver_pending() == 1
    assert mail.outbox[0].subject == "You are invited to Acme Bcc: all@else.test"


def test_a_suspended_workspace_mails_nobody(alice: Actor):
    invite(alice.client)
    Workspace.objects.update(suspended_at=timezone.now())

    assert (deliver_pending(), mail.outbox) == (1, [])


@pytest.mark.django_db(transaction=True)
def test_invitations_of_one_address_at_once_leave_one_open(server, alice: Actor):
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    answers = at_once(8, lambda _: call(server, "POST", INVITATIONS, {"email": "dana@else.test"}, headers))

    assert {answer.status for answer in answers} == {201}
    assert (Invitation.objects.count(), Invitation.objects.pending().count()) == (8, 1)


@pytest.mark.django_db(transaction=True)
def test_resending_and_cancelling_at_once_leave_at_most_one_alive(server, alice: Actor):
    issued = invite(alice.client)
    path, headers = f"{INVITATIONS}/{issued['id']}", {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(index: int) -> int:
        if index < 4:
            return call(server, "POST", f"{path}/resend", headers=headers).status
        return call(server, "DELETE", path, headers=headers).status

    answers = at_once(8, act)

    assert sorted(answers) == [200] + [400] * 7
    assert Invitation.objects.pending().count() == (1 if 200 in answers[:4] else 0)


def test_managers_replace_no_invitation_of_an_owner_that_has_expired(alice: Actor, manager: Actor):
    """An owner can still extend it: its link must not end by somebody who may not touch it."""
    owners = invite(alice.client, role="owner")
    Invitation.objects.update(expires_at=timezone.now())

    response = manager.client.post(INVITATIONS, {"email": "dana@else.test"}, format="json")

    assert (response.status_code, response.json()) == (403, OWNERS_ONLY)
    assert [str(row.id) for row in Invitation.objects.filter(revoked_at=None)] == [owners["id"]]
    later = (timezone.now() + timedelta(days=2)).isoformat()
    extended = alice.client.patch(f"{INVITATIONS}/{owners['id']}", {"expires_at": later}, format="json")
    assert (extended.status_code, Invitation.objects.get().status) == (200, "pending")

    Invitation.objects.update(expires_at=timezone.now())
    assert invite(alice.client)["role"] == "field_worker"  # an owner may
    assert Invitation.objects.get(id=owners["id"]).status == "revoked"
