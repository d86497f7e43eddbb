"""Native sign-ins at the same moment, against running processes: one account, and whatever works once works once."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import transaction
from social_django.models import UserSocialAuth

from accounts.invitations import invite
from accounts.models import Invitation, Membership, SignIn, User, Workspace
from accounts.operations import suspend_workspace
from tests.support.cast import Actor
from tests.support.launch import Server, launch
from tests.support.oidc_issuer import APPLE, GOOGLE, NONCE, Issuer, issuer
from tests.support.race import Answer, at_once, call, start_to_wait

pytestmark = pytest.mark.django_db(transaction=True)
CALLERS = 8


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def api(database_url: str, provider: Issuer) -> Iterator[Server]:
    # Of places to wait for the provider's keys as many as callers, for the first of them come at once.
    environment = {"PUBLIC_URL": settings.PUBLIC_URL, "BLOCKING_THREADS": str(2 * CALLERS), **provider.environment()}
    with launch(database_url, extra_env=environment) as running:
        yield running


def test_many_first_sign_ins_of_one_person_make_one_account(api: Server, provider: Issuer):
    tokens = [provider.google_token() for _ in range(CALLERS)]

    answers = at_once(CALLERS, lambda i: call(api, "POST", GOOGLE, {"id_token": tokens[i]}))

    assert Counter(answer.status for answer in answers) == {200: CALLERS}
    assert sum(answer.body["created"] for answer in answers) == 1
    assert len({answer.body["user"]["id"] for answer in answers}) == 1
    assert (User.objects.count(), Workspace.objects.count(), UserSocialAuth.objects.count()) == (1, 1, 1)
    assert SignIn.objects.count() == CALLERS


def test_one_id_token_sent_many_times_signs_in_once(api: Server, provider: Issuer):
    token = provider.google_token()

    answers = at_once(CALLERS, lambda i: call(api, "POST", GOOGLE, {"id_token": token}))

    assert Counter(answer.status for answer in answers) == {200: 1, 401: CALLERS - 1}
    assert SignIn.objects.count() == 1


def test_one_nonce_for_many_identity_tokens_signs_in_once(api: Server, provider: Issuer):
    nonce = call(api, "POST", NONCE).body["nonce"]
    bodies = [
        {
            "identity_token": provider.apple_token(nonce, jti=str(number)),
            "authorization_code": provider.apple_code(),
            "nonce": nonce,
            "confirm_new_account": True,
        }
        for number in range(CALLERS)
    ]

    answers = at_once(CALLERS, lambda i: call(api, "POST", APPLE, bodies[i]))

    assert Counter(answer.status for answer in answers) == {200: 1, 401: CALLERS - 1}
    assert (SignIn.objects.count(), User.objects.count()) == (1, 1)


def test_many_bindings_to_one_account_bind_once(api: Server, provider: Issuer, alice: Actor):
    tokens = [provider.google_token(email="alice@acme.test") for _ in range(CALLERS)]

    answers = at_once(CALLERS, lambda i: call(api, "POST", GOOGLE, {"id_token": tokens[i]}))

    assert Counter(answer.status for answer in answers) == {200: CALLERS}
    assert list(UserSocialAuth.objects.values_list("user_id", flat=True)) == [alice.user.id]


def test_of_many_strangers_with_one_address_one_is_bound(api: Server, provider: Issuer, alice: Actor):
    tokens = [provider.google_token(email="alice@acme.test", sub=str(number)) for number in range(CALLERS)]

    answers = at_once(CALLERS, lambda i: call(api, "POST", GOOGLE, {"id_token": tokens[i]}))

    assert Counter(answer.status for answer in answers) == {200: 1, 409: CALLERS - 1}
    assert UserSocialAuth.objects.count() == 1


def test_who_deletes_their_account_meanwhile_is_told_so(api: Server, provider: Issuer):
    """Whoever comes first, nobody is told of wrong credentials, and nothing is left of the deleted account."""
    for _ in range(4):
        begun = call(api, "POST", GOOGLE, {"id_token": provider.google_token()}).body
        leave = {"Authorization": f"Bearer {begun['access_token']}"}
        tokens = [provider.google_token() for _ in range(CALLERS)]

        def act(i: int) -> Answer:
            if i == 0:
                return call(api, "DELETE", "/api/v1/account/me", headers=leave)  # noqa: B023 - within the round
            return call(api, "POST", GOOGLE, {"id_token": tokens[i]})  # noqa: B023

        farewell, *answers = at_once(CALLERS, act)

        refusals = {(a.status, a.body["error_code"]) for a in answers if a.status != 200}
        assert farewell.status in (200, 204), farewell
        assert refusals <= {(401, "account_changed"), (409, "deleted_meanwhile"), (409, "another_identity_linked")}
        assert not User.objects.filter(id=begun["user"]["id"]).exists()


def test_a_workspace_that_is_being_suspended_takes_nobody_in(api: Server, provider: Issuer, alice: Actor):
    issued = invite(alice.request(), "grace@example.com", "manager")
    link = {"invite_id": str(issued.invitation.id), "invite_token": issued.link.rpartition("token=")[2]}
    body = {"id_token": provider.google_token(), **link}
    call(api, "POST", GOOGLE, {"id_token": provider.google_token(sub="1", email="first@example.com")})  # keys are there

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            suspend_workspace(alice.workspace)
            waiting = start_to_wait(pool, call, api, "POST", GOOGLE, body)  # it saw a workspace not suspended
        answer = waiting.result()

    assert (answer.status, answer.body["error_code"]) == (404, "not_found")
    assert (Invitation.objects.get().status, User.objects.filter(email="grace@example.com").count()) == ("pending", 0)


def test_an_invitation_is_spent_once(api: Server, provider: Issuer, alice: Actor):
    issued = invite(alice.request(), "grace@example.com", "manager")
    link = {"invite_id": str(issued.invitation.id), "invite_token": issued.link.rpartition("token=")[2]}
    tokens = [provider.google_token() for _ in range(CALLERS)]

    answers = at_once(CALLERS, lambda i: call(api, "POST", GOOGLE, {"id_token": tokens[i], **link}))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: CALLERS - 1}
    assert Invitation.objects.get().status == "accepted"
    assert Membership.objects.filter(user__email="grace@example.com").count() == 1
