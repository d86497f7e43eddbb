"""What slow clients do to others behind the proxy: the shipped deploy/nginx.conf, as a real nginx runs it."""

import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

from tests.faults.load import FENCES
from tests.faults.stage import Finding, Stage
from tests.support.proxy import Proxy, proxy

SLOW = 30  # clients of either kind
SLOWER_BY_AT_MOST = 0.25  # seconds that the slow may add to the 99th percentile, on a loaded machine
HALF_A_BODY = b'POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{"email": "'
HEADER = b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def slow_clients(found: Stage, seconds: float) -> Finding:
    """Read for so many seconds alone, and then beside 30 half-open bodies and 30 headers of a byte a second."""
    finding = Finding(f"{SLOW} half-open bodies and {SLOW} headers of 1 byte a second, behind nginx")
    with found.serving() as server, proxy(server) as front:
        reads(found, front, 1)  # the first of each process set up what the others use
        alone = reads(found, front, seconds)
        with crowd(front):
            beside = reads(found, front, seconds)
    for name, answers in (("alone", alone), ("beside them", beside)):
        finding.figures[name] = f"{len(answers)} reads, p99 {p99(answers) * 1000:.0f} ms"
        finding.expect({status for status, _ in answers} == {200}, f"a read {name} was refused")
    finding.expect(p99(beside) < p99(alone) + SLOWER_BY_AT_MOST, "others are served slower")
    return finding


@contextmanager
def crowd(front: Proxy) -> Iterator[None]:
    """Keep the slow clients at it; whom nginx sends away begins anew."""
    over = threading.Event()

    def client(number: int) -> None:
        while not over.is_set():
            with front.open() as connection, suppress(OSError, ssl.SSLError):
                connection.sendall(HALF_A_BODY if number % 2 else HEADER)
                while not over.wait(1):
                    if not number % 2:
                        connection.sendall(b"x")

    with ThreadPoolExecutor(2 * SLOW) as pool, ExitStack() as last:
        last.callback(over.set)
        for number in range(2 * SLOW):
            pool.submit(client, number)
        time.sleep(1.5)  # all of them hang
        yield


def reads(found: Stage, front: Proxy, seconds: float) -> list[tuple[int, float]]:
    """Read as four clients; every status with the seconds it took."""
    deadline = time.monotonic() + seconds

    def client(number: int) -> list[tuple[int, float]]:
        answers = []
        while time.monotonic() < deadline:
            began = time.monotonic()
            status = front.call("GET", f"{FENCES}?limit=1", headers=found.person(number)).status
            answers.append((status, time.monotonic() - began))
            time.sleep(0.02)
        return answers

    with ThreadPoolExecutor(4) as pool:
        return [answer for answers in pool.map(client, range(4)) for answer in answers]


def p99(answers: list[tuple[int, float]]) -> float:
    return sorted(took for _, took in answers)[len(answers) * 99 // 100]
