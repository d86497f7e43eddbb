"""Accepting an invitation while what proves the person is being replaced or ended: no sign-in by it outlives that."""

import time
from collections.abc import Callable

import pytest

from accounts import mailed_tokens
from tests.support.accepting import ACCEPT, NEW_PASSWORD, link_of
from tests.support.cast import PASSWORD, Actor
from tests.support.race import Answer, at_once, call

pytestmark = pytest.mark.django_db(transaction=True)
OFFSETS = [0, 0.01, 0.02, 0.03, 0.045]  # seconds by which the other request comes later: a hash takes about as long


def headers(actor: Actor) -> dict[str, str]:
    return {"Authorization": f"Bearer {actor.pair.access_token}"}


def lives(server: str, answer: Answer) -> bool:
    """Return whether the sign-in that an acceptance has begun still works."""
    if answer.status != 200:
        return False
    token = {"Authorization": f"Bearer {answer.body['access_token']}"}
    return call(server, "GET", "/api/v1/auth/me", headers=token).status == 200


def race(server: str, accepting: Callable[[], Answer], ending: Callable[[], Answer], offset: float) -> list[Answer]:
    def act(index: int) -> Answer:
        if index == 0:
            return accepting()
        time.sleep(offset)
        return ending()

    answers = at_once(2, act)
    assert [answer.status for answer in answers if answer.status >= 500] == []
    return answers


@pytest.mark.parametrize("offset", OFFSETS)
def test_no_sign_in_by_the_former_password_outlives_its_reset(server, alice, mallory, offset):
    link, secret = (
        link_of(mallory, alice.user.email),
        mailed_tokens.make(alice.user, "reset_password", alice.user.email),
    )
    confirm = {"token": secret, "password": NEW_PASSWORD}

    accepted, reset = race(
        server,
        lambda: call(server, "POST", ACCEPT, {**link, "password": PASSWORD}),
        lambda: call(server, "POST", "/api/v1/auth/password-reset/confirm", confirm),
        offset,
    )

    assert reset.status == 200
    assert not lives(server, accepted)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/auth/logout", None),
        ("POST", "/api/v1/auth/sessions/revoke-others", None),
        ("POST", "/api/v1/auth/change-password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}),
    ],
    ids=["logout", "revoke-others", "change-password"],
)
def test_no_sign_in_outlives_the_end_of_the_one_that_proved_it(server, alice, mallory, method, path, body, offset):
    """The thief's token accepts; the owner ends it from the sign-in that stays."""
    link = link_of(mallory, alice.user.email)
    owner = alice.sign_in_again()
    kept = {"Authorization": f"Bearer {owner.access_token}"}

    accepted, ended = race(
        server,
        lambda: call(server, "POST", ACCEPT, link, headers(alice)),
        lambda: call(server, method, path, body, kept),
        offset,
    )

    assert ended.status == 200
    assert not lives(server, accepted)


def test_an_acceptance_that_nothing_disturbs_signs_in(server, alice, mallory):
    link = link_of(mallory, alice.user.email)

    assert lives(server, call(server, "POST", ACCEPT, link, headers(alice)))
