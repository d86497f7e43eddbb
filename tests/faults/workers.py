"""What happens to the service's own processes: they are killed at any moment, and in the middle of a refresh."""

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg

from tests.faults.load import REFRESH, Load
from tests.faults.postgres import statuses
from tests.faults.stage import Finding, Stage, home, workers_of
from tests.support.launch import Server
from tests.support.race import call

KILLED_EVERY = 2.0  # seconds; granian ends, for its supervisor to start it anew, when a new process dies within 3.5
REPLACED_WITHIN = 10.0  # seconds; a process starts in about one


def killed_in_a_refresh(found: Stage) -> Finding:
    """Kill both processes while a refresh waits for its row; the client asks again with the token that it has."""
    finding = Finding("SIGKILL in the middle of a refresh")
    body, origin = {"refresh_token": found.tokens[0]}, {"X-Forwarded-For": home(1000)}
    with found.serving() as server, ThreadPoolExecutor(1) as pool:
        with psycopg.connect(found.database.url) as connection:  # holds the rows until it is over
            connection.execute("SELECT 1 FROM accounts_signin FOR UPDATE")
            lost = pool.submit(call, server, "POST", REFRESH, body, origin)
            wait_for_a_lock(found)
            for pid in workers_of(server):
                os.kill(pid, signal.SIGKILL)
            answered = lost.exception(10) is None
        began = time.monotonic()
        again = first_answer(server, body, origin)
        finding.figures["first answer to the same token after"] = f"{time.monotonic() - began:.2f} s"
        other = call(server, "POST", REFRESH, body, origin)  # a second tab, which was late
        finding.expect(not answered, "the refresh was answered before its process was killed")
        finding.expect(again == other.status == 200, f"the client's token answered {again} and {other.status}")
        if other.status == 200:
            found.tokens[0] = other.body["refresh_token"]
            used = call(server, "POST", REFRESH, {"refresh_token": found.tokens[0]}, origin)
            finding.expect(used.status == 200, f"its successor answered {used.status}")
            found.tokens[0] = used.body["refresh_token"]
    return finding


def wait_for_a_lock(found: Stage) -> None:
    deadline = time.monotonic() + 10
    while not found.database.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        assert time.monotonic() < deadline, "the refresh waits for nothing"
        time.sleep(0.02)


def first_answer(server: Server, body: dict[str, str], origin: dict[str, str]) -> int:
    """Ask until somebody is there again; return the status."""
    deadline = time.monotonic() + REPLACED_WITHIN
    while time.monotonic() < deadline:
        with suppress(OSError):
            return call(server, "POST", REFRESH, body, origin).status
        time.sleep(0.05)
    return 0


def killed_under_load(found: Stage, times: int) -> Finding:
    """Kill one process after the other while clients read, write and refresh."""
    finding = Finding(f"SIGKILL of {times} processes under load")
    with found.serving() as server:
        with Load(found, server) as load:
            for _ in range(times):
                time.sleep(KILLED_EVERY)
                os.kill(min(workers_of(server)), signal.SIGKILL)  # the older one
            killed = time.monotonic()
            time.sleep(3)
        seen = Counter(shot.status for shot in load.shots)
        finding.figures["answers"] = statuses(seen)
        finding.figures["without an answer"] = str(seen[0])
        good = [shot.ended for shot in load.shots if shot.began > killed and shot.status in (200, 201)]
        finding.figures["first good answer after the last"] = f"{min(good, default=killed + 99) - killed:.2f} s"
        late = [shot for shot in load.shots if shot.began > killed + 2 and shot.status not in (200, 201)]
        finding.expect(not late, "refusals two seconds after the last")
        finding.expect(not {status for status in seen if status >= 400}, "somebody was answered with an error")
        load.judge_what_was_acknowledged(finding)
    chain = found.manage("verify_audit_log")
    finding.expect("trail holds" in chain, f"the audit trail: {chain.strip()[:80]}")
    return finding
