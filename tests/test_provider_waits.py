"""Providers that hang do not take the service with them: few threads wait, the others go on serving everybody."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from accounts.models import User
from tests.support.apple_provider import Handler, lying_google, serve
from tests.support.cast import PASSWORD, Actor
from tests.support.launch import launch
from tests.support.oauth import CHALLENGED
from tests.support.oidc_issuer import GOOGLE, issuer, slowly
from tests.support.race import Answer, call

pytestmark = pytest.mark.django_db(transaction=True)
VISITORS = 32
BUSY = {
    "detail": "Too many sign-ins are waiting for their provider at the moment; try again in a few seconds.",
    "error_code": "provider_busy",
}


def warm_up(server: str, alice: Actor) -> None:
    """Let the process load what its first login needs, which is not what is measured."""
    assert call(server, "POST", "/api/v1/auth/login", {"email": alice.user.email, "password": PASSWORD}).status == 200


def longest_of_others(server: str, alice: Actor, until: threading.Event) -> dict[str, float]:
    """Return the longest that health and a login took, asked again and again until the event."""
    longest, tries = {"health": 0.0, "login": 0.0}, 0
    body = {"email": alice.user.email, "password": PASSWORD}
    while not until.is_set() or not tries:
        tries += 1
        for name, ask in (
            ("health", lambda: call(server, "GET", "/api/v1/health")),
            ("login", lambda: call(server, "POST", "/api/v1/auth/login", body)),
        ):
            began = time.monotonic()
            assert ask().status == 200
            longest[name] = max(longest[name], time.monotonic() - began)
        time.sleep(0.4)  # fewer than the limits of logins
    return longest


def until_asked_again(ask: Callable[[], Answer]) -> Iterator[Answer]:
    """Yield the answers until one is no 503: after a failure a provider is not asked for ten seconds."""
    deadline = time.monotonic() + 12
    while True:
        yield (answer := ask())
        if answer.status != 503 or time.monotonic() > deadline:
            return
        time.sleep(1)


def test_health_and_login_stay_fast_while_a_token_endpoint_hangs(database_url: str, alice: Actor):
    until = threading.Event()

    def hanging(handler: Handler) -> None:
        until.wait(7)

    with serve(lying_google()) as google:
        google.token_endpoint = hanging
        environment = {**google.environment(), "BLOCKING_THREADS": "4"}
        with launch(database_url, workers=1, extra_env=environment) as server:
            warm_up(server, alice)
            consented = []
            for _ in range(VISITORS):
                began = call(server, "GET", "/api/v1/auth/oauth/google/authorize?" + urlencode(CHALLENGED))
                cookie = {"Cookie": began.headers["set-cookie"].partition(";")[0]}
                consented.append((urlencode(google.consent(began.body["authorization_url"])), cookie))

            def come_back(answer: str, cookie: dict[str, str]) -> Answer:
                return call(server, "GET", f"/api/v1/auth/oauth/google/callback?{answer}", headers=cookie)

            with ThreadPoolExecutor(VISITORS + 1) as pool:
                others = pool.submit(longest_of_others, server, alice, until)
                callbacks = list(pool.map(come_back, *zip(*consented, strict=True)))
                until.set()

    told = [dict(parse_qsl(urlsplit(back.headers["location"]).query))["error"] for back in callbacks]
    assert Counter(told) == {"provider_unavailable": 2, "provider_busy": VISITORS - 2}
    assert max(others.result().values()) < 3, others.result()
    print(f"Beside {VISITORS} callbacks of a hanging provider: {others.result()}")


def test_health_and_login_stay_fast_while_keys_do_not_come(database_url: str, alice: Actor):
    until = threading.Event()
    with issuer() as google:
        google.behave("/keys", slowly)
        environment = {**google.environment(), "BLOCKING_THREADS": "4"}
        with launch(database_url, workers=1, extra_env=environment) as server:
            warm_up(server, alice)
            bodies = [{"id_token": google.google_token()} for _ in range(VISITORS)]

            with ThreadPoolExecutor(VISITORS + 1) as pool:
                others = pool.submit(longest_of_others, server, alice, until)
                answers = list(pool.map(lambda body: call(server, "POST", GOOGLE, body), bodies))
                until.set()
            google.behave("/keys", None)
            log = server.log.read_text().splitlines()
            after = [answer.status for answer in until_asked_again(lambda: call(server, "POST", GOOGLE, bodies[0]))]
            assert after == [*[503] * (len(after) - 1), 200]  # nothing was spent

    assert {answer.status for answer in answers} == {503}
    busy = [answer for answer in answers if answer.body["error_code"] == "provider_busy"]
    assert len(busy) >= VISITORS - 4
    assert (busy[0].body, busy[0].headers["retry-after"]) == (BUSY, "5")
    # Whoever is sent away costs no line of a log, but one a minute at most.
    assert [" WARNING " in line for line in log if "requests are sent away" in line] == [True]
    assert len([line for line in log if " ERROR " in line]) <= VISITORS - len(busy), log
    assert max(others.result().values()) < 3, others.result()
    assert User.objects.filter(email="grace@example.com").count() == 1
