"""Native sign-ins at the same moment, against running processes: one account, and whatever works once works once."""

from collections import Counter
from collections.abc import Iterator

import pytest
from django.conf import settings
from social_django.models import UserSocialAuth

from accounts.invitations import invite
from accounts.models import Invitation, Membership, SignIn, User, Workspace
from tests.support.cast import Actor
from tests.support.launch import Server, launch
from tests.support.oidc_issuer import APPLE, GOOGLE, NONCE, Issuer, issuer
from tests.support.race import at_once, call

pytestmark = pytest.mark.django_db(transaction=True)
CALLERS = 8


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture(scope="module")
def api(database_url: str, provider: Issuer) -> Iterator[Server]:
    environment = {"PUBLIC_URL": settings.PUBLIC_URL, **provider.environment()}
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


def test_an_invitation_is_spent_once(api: Server, provider: Issuer, alice: Actor):
    issued = invite(alice.request(), "grace@example.com", "manager")
    link = {"invite_id": str(issued.invitation.id), "invite_token": issued.link.rpartition("token=")[2]}
    tokens = [provider.google_token() for _ in range(CALLERS)]

    answers = at_once(CALLERS, lambda i: call(api, "POST", GOOGLE, {"id_token": tokens[i], **link}))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: CALLERS - 1}
    assert Invitation.objects.get().status == "accepted"
    assert Membership.objects.filter(user__email="grace@example.com").count() == 1
