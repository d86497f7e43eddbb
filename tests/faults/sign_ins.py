"""A crowd that signs in, some of it to guess: every answer is judged by a model of the limits of its own.

Whoever sits in a busy office meets the limit by address, an attacked account the one by email address. The model knows
no order among requests that are under way at once; it takes every order that the times of question and answer allow.
"""

import statistics
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from random import Random

from tests.faults.stage import Finding, Stage, home
from tests.support.race import Answer, call

LOGIN = "/api/v1/auth/login"
PASSWORD = "Nobody guesses this one."  # noqa: S105 - of accounts that last as long as this fault
AT_ONCE = 64
WINDOW = 60  # seconds
BY_EMAIL, BY_ADDRESS = 15, 60  # sign-ins in a window, as docs/limits.md publishes them
FIRST_HOME = 4096  # of the crowd: the stage's own people live below
NO_ANSWER = Answer(0, {}, None)


@dataclass(frozen=True)
class Attempt:
    """What somebody sends."""

    email: str
    address: str
    knows_password: bool


@dataclass(frozen=True)
class Seen:
    """One attempt as its client saw it, by the clock that the service counts windows by."""

    attempt: Attempt
    began: float
    ended: float
    answer: Answer

    @property
    def passed(self) -> bool:
        """Whether the limits let it through to its password."""
        return self.answer.status in (200, 401)

    @property
    def refused_by(self) -> int:
        """Return the limit that a 429 names, else 0."""
        return int(self.answer.body["limit"]) if self.answer.status == 429 else 0


def crowded(found: Stage, attempts: int) -> Finding:
    """Let half as many accounts be tried from a tenth as many addresses, 64 attempts at a time."""
    finding = Finding(f"{attempts:,} sign-in attempts, {AT_ONCE} at a time")
    load = crowd(attempts)
    found.run("-m", "tests.faults.crowd", str(attempts // 2), PASSWORD)
    with found.serving() as server, ThreadPoolExecutor(AT_ONCE) as clients:
        began = time.monotonic()
        seen = list(clients.map(lambda attempt: ask(server, attempt), load))
        seconds = time.monotonic() - began
    tell(finding, seen, seconds)
    judge_passwords(finding, seen)
    judge_limit(finding, seen, BY_EMAIL, lambda attempt: attempt.email)
    judge_limit(finding, seen, BY_ADDRESS, lambda attempt: attempt.address)
    return finding


def crowd(attempts: int) -> list[Attempt]:
    """Return every account once, mostly from a few offices, and as many guesses at a few accounts from everywhere."""
    chance = Random(9)  # noqa: S311 - the same crowd in every run
    accounts = [f"crowd{number}@stage.test" for number in range(attempts // 2)]
    addresses = [home(FIRST_HOME + number) for number in range(attempts // 10)]
    # So few that each meets its limit on the slowest machine, too, where a run lasts for many windows.
    offices, attacked = addresses[: max(1, attempts // 2000)], accounts[: max(1, attempts // 1000)]
    homes = addresses + [chance.choice(offices) for _ in accounts[len(addresses) :]]
    tries = list(zip(accounts, homes, strict=True)) + [
        (attacked[number % len(attacked)], chance.choice(addresses)) for number in range(attempts - len(accounts))
    ]
    chance.shuffle(tries)
    return [Attempt(email, address, chance.random() < 0.5) for email, address in tries]


def ask(server: str, attempt: Attempt) -> Seen:
    body = {"email": attempt.email, "password": PASSWORD if attempt.knows_password else "not the password"}
    began = time.time()
    try:
        answer = call(server, "POST", LOGIN, body, {"X-Forwarded-For": attempt.address})
    except (OSError, HTTPException):
        answer = NO_ANSWER
    return Seen(attempt, began, time.time(), answer)


def tell(finding: Finding, seen: list[Seen], seconds: float) -> None:
    """Add the figures, latencies apart for those that cost a hash and those that do not."""
    counts = Counter(one.answer.status for one in seen)
    refused = Counter(one.refused_by for one in seen)
    finding.figures["answers"] = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))
    finding.figures["refused by email address"] = str(refused[BY_EMAIL])
    finding.figures["refused by address"] = str(refused[BY_ADDRESS])
    finding.figures["answers a second"] = f"{len(seen) / seconds:.0f} for {seconds:.0f} s"
    for name, passed in (("let through", True), ("refused", False)):
        times = [one.ended - one.began for one in seen if one.passed is passed] or [0.0]
        cuts = statistics.quantiles(times * 2, n=100, method="inclusive")
        finding.figures[f"{name}, p50 and p99"] = f"{cuts[49] * 1000:.0f} and {cuts[98] * 1000:.0f} ms"
    finding.expect(not counts.keys() - {200, 401, 429}, f"somebody was answered {sorted(counts)}")
    for limit in (BY_EMAIL, BY_ADDRESS):
        finding.expect(refused[limit] > len(seen) // 50, f"the limit of {limit} was hardly reached: {refused[limit]}")


def judge_passwords(finding: Finding, seen: list[Seen]) -> None:
    """Whoever is let through gets in by the right password, and by no other."""
    wrong = [one for one in seen if one.passed and (one.answer.status == 200) is not one.attempt.knows_password]
    finding.expect(not wrong, f"{len(wrong)} passwords were judged wrongly")


def judge_limit(finding: Finding, seen: list[Seen], limit: int, identity: Callable[[Attempt], str]) -> None:
    """In each window of each identity no more pass than the limit says, and nobody is refused before they could have;
    a refusal tells how long the window still lasts.
    """
    of_window: dict[tuple[str, int], list[Seen]] = defaultdict(list)
    for one in seen:
        for window in windows(one, identity(one.attempt)):
            of_window[identity(one.attempt), window].append(one)
    too_many = [key for key, members in of_window.items() if len(surely_passed(members, key[0])) > limit]
    finding.expect(not too_many, f"more than {limit} were let through: {too_many[:3]}")
    refused = [one for one in seen if one.refused_by == limit]
    early = [one for one in refused if not reached(one, limit, identity(one.attempt), of_window)]
    finding.expect(not early, f"{len(early)} were refused before {limit}: {early[:3]}")
    misled = [one for one in refused if not told_the_wait(one, identity(one.attempt))]
    finding.expect(not misled, f"{len(misled)} were told another wait than until the window's end: {misled[:3]}")


def surely_passed(members: list[Seen], name: str) -> list[Seen]:
    """Leave out who was under way across an edge, and may have been counted on either side."""
    return [one for one in members if one.passed and len(windows(one, name)) == 1]


def reached(refused: Seen, limit: int, name: str, of_window: dict[tuple[str, int], list[Seen]]) -> bool:
    """Return whether so many may have been counted before this one was refused. What either limit refuses counts
    nowhere, not even for a moment.
    """
    return any(
        limit <= sum(one.began < refused.ended and not one.refused_by for one in of_window[name, window])
        for window in windows(refused, name)
    )


def told_the_wait(refused: Seen, name: str) -> bool:
    told = int(refused.answer.headers["retry-after"])
    ends = {end_of(window, name) for window in windows(refused, name)}
    # The service counts in whole seconds, from the one that has begun.
    return any(end - int(refused.ended) <= told <= end - int(refused.began) for end in ends)


def windows(one: Seen, name: str) -> set[int]:
    """Return the windows that a request may have been counted in: two where it was under way across an edge."""
    return {window_of(one.began, name), window_of(one.ended, name)}


def window_of(moment: float, name: str) -> int:
    return (int(moment) - 1 - zlib.crc32(name.encode()) % WINDOW) // WINDOW


def end_of(window: int, name: str) -> int:
    """Return the first second after a window, in seconds since 1970. Windows begin at a second of their own a name."""
    return (window + 1) * WINDOW + 1 + zlib.crc32(name.encode()) % WINDOW
