"""Accepting an invitation while what proves the person is being ended: no sign-in that stands on it stays alive."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, transaction

from accounts import mailed_tokens
from accounts.models import Membership, SignIn, User
from accounts.password_changes import reset_password
from accounts.principal import Client
from accounts.tokens import AccessToken, TokenPair
from tests.support.accepting import ACCEPT, NEW_PASSWORD, PASSWORDLESS, link_of
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.race import Answer, at_once, call, start_to_wait
from tests.support.totp import TOTP, code

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 12
Rival = Callable[[], Answer]


def headers_of(pair: TokenPair) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair.access_token}"}


def reset(server: str, person: Actor, own: TokenPair) -> Rival:
    secret = mailed_tokens.make(person.user, "reset_password", person.user.email)
    body = {"token": secret, "password": NEW_PASSWORD}
    return lambda: call(server, "POST", "/api/v1/auth/password-reset/confirm", body)


def change_password(server: str, person: Actor, own: TokenPair) -> Rival:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    return lambda: call(server, "POST", "/api/v1/auth/change-password", body, headers_of(own))


def set_up_a_factor(server: str, person: Actor, own: TokenPair) -> Rival:
    client = bearer(own.access_token)
    secret = client.post(TOTP, {"current_password": PASSWORD}, format="json").json()["secret"]
    return lambda: call(server, "POST", f"{TOTP}/confirm", {"otp": code(secret)}, headers_of(own))


BY_PASSWORD, BY_SIGN_IN = "password", "sign-in"
KEEP_THEIR_OWN = {change_password, set_up_a_factor}


@pytest.fixture
def fresh_round(mallory: Actor) -> Callable[[], None]:
    """Return what undoes a round: Mallory as she was at first, nothing counted."""
    password = mallory.user.password

    def undo() -> None:
        SignIn.objects.filter(user=mallory.user).delete()
        Membership.objects.filter(user=mallory.user).exclude(workspace=mallory.workspace).delete()
        User.objects.filter(id=mallory.user.id).update(password=password, totp_secret="", totp_confirmed_at=None)
        mallory.user.refresh_from_db()
        mallory.membership.refresh_from_db()
        with connections["counters"].cursor() as cursor:
            cursor.execute("DELETE FROM spatialflow_counter")

    return undo


def waits() -> Iterator[float]:
    """Yield for each round by how many seconds the rival comes later: about as long as a password is checked."""
    yield from (0.015 * number for number in range(ROUNDS))


@pytest.mark.parametrize(
    ("rival", "proof"),
    [
        (reset, BY_SIGN_IN),
        (change_password, BY_PASSWORD),
        (set_up_a_factor, BY_PASSWORD),
        (set_up_a_factor, BY_SIGN_IN),
    ],
)
def test_what_is_accepted_meanwhile_leaves_nothing_alive(
    server: str, alice: Actor, mallory: Actor, fresh_round: Any, rival: Any, proof: str
):
    accepted = 0
    for wait in waits():
        fresh_round()
        proving, own = mallory.sign_in_again(), mallory.sign_in_again()
        act_of_rival = rival(server, mallory, own)
        link = link_of(alice, mallory.user.email)
        by_password = {**link, "password": PASSWORD}

        def act(index: int) -> Answer:
            if index == 1:
                time.sleep(wait)  # noqa: B023 - within the round
                return act_of_rival()  # noqa: B023
            if proof == BY_PASSWORD:
                return call(server, "POST", ACCEPT, by_password)  # noqa: B023
            return call(server, "POST", ACCEPT, link, headers_of(proving))  # noqa: B023

        answer, of_rival = at_once(2, act)

        assert of_rival.status in (200, 204), of_rival
        assert answer.status in (200, 400, 401), answer
        accepted += answer.status == 200
        kept = {AccessToken.read(own.access_token).sid} if rival in KEEP_THEIR_OWN else set()
        alive = set(SignIn.objects.live().filter(user=mallory.user).values_list("id", flat=True))
        assert alive == kept, (wait, answer)
    print(f"{rival.__name__} against {proof}: {accepted} of {ROUNDS} were in before")


@pytest.mark.parametrize(
    ("proof", "refusal"), [(BY_PASSWORD, (401, "invalid_credentials")), (BY_SIGN_IN, (401, "invalid_token"))]
)
def test_an_acceptance_cannot_overtake_a_reset(server: str, alice: Actor, mallory: Actor, proof: str, refusal: Any):
    """The proof was checked, and the reset has ended every sign-in, before either is done."""
    link = link_of(alice, mallory.user.email)
    secret = mailed_tokens.make(mallory.user, "reset_password", mallory.user.email)
    body = {**link, "password": PASSWORD} if proof == BY_PASSWORD else link
    headers = {} if proof == BY_PASSWORD else headers_of(mallory.pair)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            reset_password(Client("192.0.2.1", ""), secret, NEW_PASSWORD)
            waiting = start_to_wait(pool, call, server, "POST", ACCEPT, body, headers)
        answer = waiting.result()

    assert (answer.status, answer.body["error_code"]) == refusal
    assert SignIn.objects.live().filter(user=mallory.user).count() == 0
    assert not Membership.objects.filter(user=mallory.user, workspace=alice.workspace).exists()
    assert call(server, "POST", ACCEPT, {**link, "password": NEW_PASSWORD}).status == 200  # the invitation is unspent


@pytest.mark.parametrize("path", [ACCEPT, PASSWORDLESS])
def test_a_link_cannot_overtake_the_owner_who_comes_into_an_untouched_account(server: str, alice: Actor, path: str):
    """Nobody had been inside when the link was followed; its owner has set a password before that was done."""
    owner = User.objects.create_user("dana@else.test", None)
    link = link_of(alice, owner.email)
    secret = mailed_tokens.make(owner, "reset_password", owner.email)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            reset_password(Client("192.0.2.1", ""), secret, PASSWORD)
            waiting = start_to_wait(pool, call, server, "POST", path, {**link, "password": NEW_PASSWORD})
        answer = waiting.result()

    assert (answer.status, answer.body["error_code"]) == (409, "account_appeared")
    assert User.objects.get(id=owner.id).check_password(PASSWORD)
    assert not SignIn.objects.filter(user=owner).exists()
    assert call(server, "POST", ACCEPT, {**link, "password": PASSWORD}).status == 200
