"""What happens to the store of the limits' counters: it goes and comes back, it stands still."""

import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.faults.load import FENCES
from tests.faults.postgres import statuses
from tests.faults.stage import Finding, Stage, home, timed
from tests.support.launch import Server, Valkey, valkey
from tests.support.race import Answer

ADDED_AT_MOST = 2.0  # seconds that a store without a word adds to an answer
RETRIED_AFTER = 2.5  # seconds after which the service has asked the store again
LOGIN = "/api/v1/auth/login"
WARNING = "counter store Redis does not answer"


def gone(found: Stage, seconds: float) -> Finding:
    """End the store while 16 clients read, and start an empty one."""
    return played(found, "Valkey gone and back", Valkey.stop, Valkey.start, seconds)


def hanging(found: Stage, seconds: float) -> Finding:
    """Let the store stand still: its connections stay open, and it does not answer."""

    def send(number: signal.Signals) -> Callable[[Valkey], None]:
        return lambda store: os.kill(store._process.pid, number)

    return played(found, "Valkey stands still (SIGSTOP)", send(signal.SIGSTOP), send(signal.SIGCONT), seconds)


def played(
    found: Stage, fault: str, begin: Callable[[Valkey], None], end: Callable[[Valkey], None], seconds: float
) -> Finding:
    finding = Finding(fault)
    with valkey() as store, found.serving(REDIS_URL=store) as server:
        before = reads(found, server, seconds)
        begin(store)
        try:
            during = reads(found, server, seconds + RETRIED_AFTER)
            counted = tries(server)
        finally:
            end(store)
        time.sleep(RETRIED_AFTER)
        after = reads(found, server, seconds)
        warnings = server.log.read_text().count(WARNING)
    for when, answers in (("before", before), ("during", during), ("after", after)):
        seen = Counter(answer.status for answer, _ in answers)
        took = sorted(took for _, took in answers)
        finding.figures[f"reads {when}"] = (
            f"{statuses(seen)}, median {statistics.median(took) * 1000:.0f} ms, slowest {took[-1] * 1000:.0f} ms"
        )
        finding.expect(set(seen) == {200}, f"reads {when}: {statuses(seen)}")
        finding.expect(took[-1] < ADDED_AT_MOST, f"a read {when} took {took[-1]:.1f} s")
    finding.figures["20 logins for one email address during"] = statuses(counted)
    finding.figures["lines in the log"] = str(warnings)
    finding.expect(counted == {401: 15, 429: 5}, "the limit did not count exactly without the store")
    finding.expect(0 < warnings < 40, "not logged, or once a request")
    return finding


def reads(found: Stage, server: Server, seconds: float) -> list[tuple[Answer, float]]:
    """Read as 16 clients for so long; every answer with the seconds it took."""
    deadline = time.monotonic() + seconds

    def client(number: int) -> list[tuple[Answer, float]]:
        answers = []
        while time.monotonic() < deadline:
            answers.append(timed(server, "GET", f"{FENCES}?limit=1", headers=found.person(number % 12)))
            time.sleep(0.02)
        return answers

    with ThreadPoolExecutor(16) as pool:
        return [answer for answers in pool.map(client, range(16)) for answer in answers]


def tries(server: Server) -> Counter[int]:
    """Sign in 20 times at once with one address that nobody has; 15 a minute are looked at."""
    body = {"email": f"nobody-{time.monotonic_ns()}@stage.test", "password": "wrong password"}
    with ThreadPoolExecutor(8) as pool:
        origins = [{"X-Forwarded-For": home(3000 + number)} for number in range(20)]
        return Counter(
            answer.status for answer, _ in pool.map(lambda o: timed(server, "POST", LOGIN, body, o), origins)
        )
