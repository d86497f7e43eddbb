"""Trading a login code while sign-ins are being ended: what comes of it ends too, or does not come to be."""

from collections.abc import Callable

import pytest

from accounts.models import SignIn
from sso.models import LoginCode
from tests.support.cast import PASSWORD, Actor
from tests.support.oauth import CLIENT_STATE, VERIFIER, exchange
from tests.support.race import Answer, call, waiting_behind
from tests.support.totp import code as current
from tests.support.totp import enrol
from tests.test_oauth_exchange import INVALID, code_of

pytestmark = pytest.mark.django_db(transaction=True)

LOGOUT, OTHERS = "/api/v1/auth/logout", "/api/v1/auth/sessions/revoke-others"
EVERYBODY, CHANGE = "/api/v1/workspaces/revoke-all-sessions", "/api/v1/auth/change-password"
PASSWORDS = {"current_password": PASSWORD, "new_password": "another horse, another staple"}
ENDINGS = [(LOGOUT, None), (OTHERS, None), (CHANGE, PASSWORDS)]


@pytest.fixture
def trading(server: str) -> Callable[[str], Answer]:
    def trade(code: str) -> Answer:
        body = {"code": code, "code_verifier": VERIFIER, "state": CLIENT_STATE}
        return call(server, "POST", "/api/v1/auth/sso/exchange", body)

    return trade


@pytest.fixture
def ending(server: str, alice: Actor) -> Callable[..., Answer]:
    headers = {"Authorization": f"Bearer {alice.pair.access_token}"}
    return lambda path, body: call(server, "POST", path, body, headers)


def live(person: Actor) -> list[str]:
    return list(SignIn.objects.live().filter(user=person.user, method="google").values_list("method", flat=True))


@pytest.mark.parametrize(("path", "body"), ENDINGS)
def test_what_waits_for_the_end_of_the_sign_ins_does_not_begin(alice: Actor, trading, ending, path, body):
    code = code_of(alice)
    with waiting_behind(alice.user) as start:
        ended, traded = start(ending, path, body), start(trading, code)

    assert ended.result().status == 200
    assert (traded.result().status, traded.result().body) == (401, INVALID)
    assert (live(alice), LoginCode.objects.count()) == ([], 0)
    assert trading(code_of(alice)).status == 200  # come back from Google afterwards


@pytest.mark.parametrize(("path", "body"), ENDINGS)
def test_what_the_end_of_the_sign_ins_waits_for_ends_as_well(alice: Actor, trading, ending, path, body):
    code = code_of(alice)
    with waiting_behind(alice.user) as start:
        traded, ended = start(trading, code), start(ending, path, body)

    assert (traded.result().status, ended.result().status) == (200, 200)
    assert live(alice) == []


def test_everybodys_end_ends_what_is_being_traded(alice: Actor, trading, ending):
    code = code_of(alice)
    with waiting_behind(alice.user) as start:
        traded = start(trading, code)
        assert ending(EVERYBODY, None).status == 200  # which does not wait for the one person

    assert (traded.result().status, traded.result().body) == (401, INVALID)
    assert live(alice) == []


def test_everybodys_end_ends_a_code_for_the_next_try_that_it_missed(anyone, alice: Actor):
    """Such a code has come to be while everybody's were taken away; it is as old as the first one."""
    secret, _ = enrol(alice)
    code = code_of(alice)
    refused = exchange(anyone, code)
    assert (refused.status_code, refused.json()["error_code"]) == (401, "otp_required")
    alice.workspace.sign_ins_ended_at = LoginCode.objects.get().begun_at
    alice.workspace.save(update_fields=["sign_ins_ended_at"])

    assert exchange(anyone, refused.json()["code"], otp=current(secret)).json() == INVALID
    again = exchange(anyone, code_of(alice), otp=current(secret))
    assert again.status_code == 200


def test_a_code_for_the_next_try_ends_with_the_sign_ins(alice: Actor, trading, ending):
    enrol(alice)
    code = code_of(alice)
    with waiting_behind(alice.user) as start:
        traded, ended = start(trading, code), start(ending, LOGOUT, None)

    assert (traded.result().body["error_code"], ended.result().status) == ("otp_required", 200)
    assert LoginCode.objects.count() == 0
    assert trading(traded.result().body["code"]).body == INVALID
