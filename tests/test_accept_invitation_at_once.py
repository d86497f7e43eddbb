"""Accepting an invitation many times at once: it is spent once."""

from collections import Counter

import pytest
from rest_framework.test import APIClient

from accounts.models import Invitation, Membership, SignIn, User
from tests.support.accepting import ACCEPT, NEW_PASSWORD, PASSWORDLESS, link_of
from tests.support.cast import PASSWORD, Actor, bearer, make_workspace
from tests.support.invitations import INVITATIONS
from tests.support.race import Answer, at_once, call

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
def test_of_many_at_once_one_is_let_in(server, alice: Actor, path):
    link = link_of(alice)

    answers = at_once(8, lambda _: call(server, "POST", path, {**link, "password": NEW_PASSWORD}))

    losers = Counter((answer.status, answer.body.get("error_code")) for answer in answers if answer.status != 200)
    assert losers == {(400, "invitation_used"): 7}
    user = User.objects.get(email="dana@else.test")
    assert user.memberships.count() == SignIn.objects.filter(user=user).count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_a_known_persons_many_tries_at_once_one_wins(server, alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test")

    answers = at_once(8, lambda _: call(server, "POST", ACCEPT, {**link, "password": PASSWORD}))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 7}
    assert Membership.objects.filter(user=mallory.user, workspace=alice.workspace).count() == 1


@pytest.mark.django_db(transaction=True)
def test_invitations_of_several_workspaces_at_once_make_one_account(server, alice: Actor):
    links = []
    for number in range(6):
        Membership.objects.update(workspace=make_workspace(f"w{number}"))
        SignIn.objects.update(workspace_id=Membership.objects.get().workspace_id)
        alice.membership.refresh_from_db()
        links.append(link_of(Actor(alice.user, alice.workspace, alice.membership, alice.pair, again(alice))))

    answers = at_once(6, lambda number: call(server, "POST", ACCEPT, {**links[number], "password": NEW_PASSWORD}))

    assert {(answer.status, answer.body.get("error_code")) for answer in answers} <= {
        (200, None),
        (409, "account_appeared"),
    }
    user = User.objects.get(email="dana@else.test")
    entered = sum(answer.status == 200 for answer in answers)
    assert entered == user.memberships.count() == SignIn.objects.filter(user=user).count() >= 1
    assert Invitation.objects.pending().count() == 6 - entered


def again(actor: Actor) -> APIClient:
    return bearer(actor.sign_in_again().access_token)


@pytest.mark.django_db(transaction=True)
def test_accepting_while_it_is_cancelled_is_one_or_the_other(server, alice: Actor):
    link = link_of(alice)
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}

    def act(index: int) -> Answer:
        if index == 0:
            return call(server, "DELETE", f"{INVITATIONS}/{link['invite_id']}", headers=headers)
        return call(server, "POST", PASSWORDLESS, link)

    cancelled, accepted = at_once(2, act)

    assert sorted([cancelled.status, accepted.status]) == [200, 400]
    assert Membership.objects.filter(user__email="dana@else.test").exists() == (accepted.status == 200)
