"""Resending invitations in a batch: which, how often, and what the answer tells of the others."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.audit import Action
from accounts.mailed_tokens import digest
from accounts.models import AuditEvent, Invitation
from accounts.outbox import deliver_pending
from tests.support.cast import Actor
from tests.support.invitations import ACCEPTED, NOT_FOUND, OWNERS_ONLY, RESEND_MISSING, invite, token_of
from tests.support.urls import EXAMPLE_ID

pytest_plugins = ["tests.support.manager_fixtures"]
pytestmark = pytest.mark.django_db


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
    now = timezone.now() - timedelta(seconds=1)
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
        ({"before": 7}, 422),
        ({"before": ["x"]}, 422),
        ([1], 422),
    ],
)
def test_odd_batches(alice: Actor, body, status):
    assert alice.client.post(RESEND_MISSING, body, format="json").status_code == status
