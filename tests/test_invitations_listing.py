"""The list of invitations: what it holds, and a walk through its pages."""

import re
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.mailed_tokens import digest
from accounts.models import Invitation
from tests.support.cast import Actor
from tests.support.invitations import INVITATIONS, invite, listed, shown
from tests.support.urls import EXAMPLE_ID

pytestmark = pytest.mark.django_db


def test_the_list_holds_what_is_pending_newest_first_and_no_token(alice: Actor, mallory: Actor):
    invite(mallory.client, "stranger@else.test")
    kept = [invite(alice.client, f"p{n}@else.test") for n in range(5)]
    gone = [Invitation.objects.filter(id=invitation["id"]) for invitation in kept[:3]]
    gone[0].update(used_at=timezone.now())
    gone[1].update(revoked_at=timezone.now())
    gone[2].update(expires_at=timezone.now() - timedelta(seconds=1))

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
