"""Accepting an invitation again and again: how many tries a link, an address and a password have."""

import uuid
from collections import Counter

import pytest

from accounts.models import User
from tests.support.accepting import ACCEPT, PASSWORDLESS, accept, anyone, link_of, refused
from tests.support.cast import PASSWORD, Actor

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("has_account", [False, True])
@pytest.mark.parametrize("password", ["weak", "dana@else.test"])
def test_a_weak_password_is_answered_alike_for_known_and_unknown_addresses(alice: Actor, has_account, password):
    """And it uses up no try with the link."""
    link = link_of(alice)
    if has_account:
        User.objects.create_user("dana@else.test", PASSWORD, name="Dana")

    answers = [accept(link, password=password) for _ in range(11)]

    assert {status for status, _ in answers} == {422}
    assert list(answers[0][1]["details"]) == ["password"]
    assert accept(link, password=PASSWORD)[0] == 200


def test_the_password_of_whoever_is_signed_in_is_not_looked_at(alice: Actor, mallory: Actor):
    assert accept(link_of(alice, mallory.user.email), client=mallory.client, password="weak")[0] == 200


def test_an_eleventh_try_with_one_link_waits_and_others_do_not(alice: Actor):
    link, other = link_of(alice), link_of(alice, "eve@else.test")
    wrong = {**link, "token": "x"}

    assert [accept(wrong, path)[0] for path in (ACCEPT, PASSWORDLESS) * 5] == [404] * 10
    wrong["invite_id"] = wrong["invite_id"].upper()
    assert refused(wrong) == (429, "rate_limited")
    assert accept(other, PASSWORDLESS)[0] == 200


def test_a_crew_of_three_hundred_checks_in_from_one_address_an_hour():
    statuses = Counter(accept({"invite_id": str(uuid.uuid4()), "token": "x"}, PASSWORDLESS)[0] for _ in range(301))

    assert statuses == {404: 300, 429: 1}


def test_guessing_a_password_here_is_guessing_at_the_login(alice: Actor, mallory: Actor):
    link = link_of(alice, "mallory@other.test")
    for number in range(15):
        anyone.post("/api/v1/auth/login", {"email": "mallory@other.test", "password": f"{number}"}, format="json")

    assert refused(link, password=PASSWORD) == (429, "rate_limited")
    assert accept(link, client=mallory.client)[0] == 200
