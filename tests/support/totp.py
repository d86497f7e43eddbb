"""A person's second factor, as their authenticator app would have it."""

import time

import pyotp

from tests.support.cast import PASSWORD, Actor

TOTP = "/api/v1/auth/totp"


def code(secret: str, steps: int = 0) -> str:
    """Return the code of now, or of so many half minutes later."""
    return pyotp.TOTP(secret).at(int(time.time()) + 30 * steps)


def wrong_code(secret: str) -> str:
    """Return six digits that are no code of around now."""
    near = {code(secret, steps) for steps in range(-2, 3)}
    return next(digits for digits in ("000000", "111111", "222222", "333333", "444444", "555555") if digits not in near)


def enrol(actor: Actor) -> tuple[str, list[str]]:
    """Return the secret and the recovery codes of a person who has just set up a second factor.

    The code that confirmed it was of the half minute before, so that the current one is still to be spent.
    """
    secret = actor.client.post(TOTP, {"current_password": PASSWORD}, format="json").json()["secret"]
    wait_for_an_early_moment(1)
    answer = actor.client.post(f"{TOTP}/confirm", {"otp": code(secret, -1)}, format="json")
    assert answer.status_code == 200, answer.content
    return secret, answer.json()["recovery_codes"]


def wait_for_an_early_moment(seconds: int = 3) -> None:
    """A test that begins late in a half minute could end in the next, where its codes are other ones. `seconds` is how
    long it takes at most from here; the few that start servers or a browser take longer.
    """
    if (left := 30 - time.time() % 30) < seconds:
        time.sleep(left)
