"""What happens when the clock of one of two web hosts is wrong: the same people are served by both in turn."""

import time
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pyotp

from tests.faults.load import FENCES, REFRESH
from tests.faults.stage import PASSWORD, Finding, Stage, home
from tests.support.launch import Server
from tests.support.race import Answer, call

LOGIN = "/api/v1/auth/login"
TOTP = "/api/v1/auth/totp"
END_EVERYBODYS = "/api/v1/workspaces/revoke-all-sessions"


class Hosts:
    """A host whose clock is right, one whose clock is wrong, and every answer that they gave."""

    def __init__(self, found: Stage, right: Server, wrong: Server, finding: Finding) -> None:
        self.found, self.finding = found, finding
        self.turns = ((right, wrong, "right then wrong"), (wrong, right, "wrong then right"))
        self.statuses: list[int] = []

    def ask(
        self, server: Server, method: str, path: str, body: Any = None, token: str = "", visitor: int = 0
    ) -> Answer:
        """Send a request from an address of the visitor's own."""
        origin = {"X-Forwarded-For": home(5000 + visitor)} | ({"Authorization": f"Bearer {token}"} if token else {})
        answer = call(server, method, path, body, origin)
        self.statuses.append(answer.status)
        return answer

    def expect(self, answer: Answer, status: int, what: str) -> Answer:
        said = answer.body.get("error_code", "") if isinstance(answer.body, dict) else ""
        self.finding.expect(answer.status == status, f"{what}: {answer.status} {said}")
        return answer


def wrong_by(found: Stage, ahead: int) -> Finding:
    """Let one host's clock be so many seconds ahead, or behind where that is negative."""
    with psycopg.connect(found.database.url, autocommit=True) as connection:  # as if nothing had been before
        connection.execute("TRUNCATE spatialflow_counter")
        connection.execute("UPDATE accounts_user SET totp_secret = '', totp_confirmed_at = NULL, totp_last_step = 0")
    finding = Finding(f"Clock of one of two hosts {abs(ahead)} s {'ahead' if ahead > 0 else 'behind'}")
    with found.serving() as right, serving_at(found, ahead) as wrong:
        hosts = Hosts(found, right, wrong, finding)
        shown = datetime.fromisoformat(hosts.ask(wrong, "GET", "/api/v1/public/health").body["timestamp"])
        finding.expect(abs(shown.timestamp() - time.time() - ahead) < 5, "the clock is not as wrong as it should be")
        for person, turn in enumerate(hosts.turns, start=2):
            sign_in_and_go_on(hosts, *turn, person)
        end_everybodys(hosts, *hosts.turns[ahead > 0])
        finding.figures["limit of 15 logins, tried 20 times at each host"] = count_exactly(hosts)
    seen = hosts.statuses
    finding.figures["answers"] = ", ".join(f"{seen.count(status)} x {status}" for status in sorted(set(seen)))
    finding.expect(max(seen) < 500, "an answer was a server error")
    return finding


def serving_at(found: Stage, ahead: int) -> AbstractContextManager[Server]:
    """Run the service on a host whose clock of the day is so many seconds ahead."""
    return found.serving(**wrong_clock(ahead))


def wrong_clock(ahead: int) -> dict[str, str]:
    """Return the environment of a process for which the time of the day is so many seconds ahead."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise RuntimeError("No libfaketime is here: install the Debian package faketime.")
    monotonic = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{ahead:+d}", **monotonic}


def sign_in_and_go_on(hosts: Hosts, first: Server, second: Server, turn: str, person: int) -> None:
    """Sign in at one host and use all of it at the other, then back."""
    body = {"email": hosts.found.people[person]["email"], "password": PASSWORD}
    pair = hosts.expect(hosts.ask(first, "POST", LOGIN, body, visitor=person), 200, f"sign-in, {turn}").body
    for server in (first, second):
        read = hosts.ask(server, "GET", FENCES, token=pair["access_token"])
        hosts.expect(read, 200, f"fresh access token, {turn}")
    for server in (first, second, first):
        answer = hosts.ask(server, "POST", REFRESH, {"refresh_token": pair["refresh_token"]}, visitor=person)
        if hosts.expect(answer, 200, f"fresh refresh token, {turn}").status != 200:
            return
        pair = answer.body
        for reader in (first, second):
            read = hosts.ask(reader, "GET", FENCES, token=pair["access_token"])
            hosts.expect(read, 200, f"renewed access token, {turn}")
    second_factor(hosts, first, second, turn, {**body, "token": pair["access_token"]})


def second_factor(hosts: Hosts, first: Server, second: Server, turn: str, person: dict[str, str]) -> None:
    """Set a second factor up at one host with a phone whose clock is right, and sign in with it at the other."""
    begun = hosts.ask(first, "POST", TOTP, {"current_password": PASSWORD}, person["token"])
    phone = pyotp.TOTP(hosts.expect(begun, 200, f"beginning a second factor, {turn}").body["secret"])
    before = {"otp": phone.at(int(time.time()) - 30)}
    hosts.expect(hosts.ask(first, "POST", f"{TOTP}/confirm", before, person["token"]), 200, f"its first code, {turn}")
    login = {"email": person["email"], "password": PASSWORD, "otp": phone.now()}
    hosts.expect(hosts.ask(second, "POST", LOGIN, login, visitor=20), 200, f"sign-in with a code, {turn}")
    hosts.expect(hosts.ask(first, "POST", LOGIN, login, visitor=21), 401, f"a code that was spent, {turn}")


def end_everybodys(hosts: Hosts, first: Server, second: Server, turn: str) -> None:
    """End everybody's sign-ins at the host whose clock is later; people sign in again at once at the other."""
    body = {"email": hosts.found.people[4]["email"], "password": PASSWORD}
    pair = hosts.ask(first, "POST", LOGIN, body, visitor=30).body
    ended = hosts.ask(first, "POST", END_EVERYBODYS, None, pair["access_token"])
    hosts.expect(ended, 200, f"ending everybody's sign-ins, {turn}")
    dead = hosts.ask(second, "GET", FENCES, token=pair["access_token"])
    hosts.expect(dead, 401, f"a token of before they were ended, {turn}")
    again = hosts.ask(second, "POST", LOGIN, body, visitor=31).body
    for server in (first, second):
        read = hosts.ask(server, "GET", FENCES, token=again["access_token"])
        hosts.expect(read, 200, f"a sign-in of after, {turn}")


def count_exactly(hosts: Hosts) -> str:
    """Try a wrong password 20 times at each host. Each counts by its own minute, so up to twice the limit can pass."""
    body = {"email": f"nobody-{time.monotonic_ns()}@stage.test", "password": "wrong password"}
    passed = []
    for server in (turn[0] for turn in hosts.turns):
        answers = [hosts.ask(server, "POST", LOGIN, body, visitor=100 + number) for number in range(20)]
        passed.append(sum(answer.status == 401 for answer in answers))
        waits = [int(answer.headers["retry-after"]) for answer in answers if answer.status == 429]
        hosts.finding.expect(bool(waits) and all(1 <= wait <= 60 for wait in waits), f"Retry-After was {waits}")
    hosts.finding.expect(max(passed) <= 15, f"{passed} passed")
    return f"{passed[0]} and {passed[1]} passed"
