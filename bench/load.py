"""The load generator: keep-alive connections that each send the next request as soon as the last is answered.

One thread, epoll, and no HTTP library: a client that parses like one would cost more than the server that it measures.
It reads of an answer what it needs (status, length, end) and judges every status. `python -m bench` shows its ceiling.
"""

import gc
import re
import select
import socket
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SILENCE = 30  # seconds without any answer after which a run fails


class LoadError(Exception):
    """The server closed a connection, was silent or spoke no HTTP; the text is one sentence."""


class Job(Protocol):
    """What is asked. A ticket is whatever the job wants back together with the answer."""

    def request(self) -> tuple[bytes, Any]:
        """Return the bytes of the next request, and its ticket."""

    def answered(self, ticket: Any, body: bytes) -> None:
        """Take the body of a 2xx answer."""


@dataclass
class Sample:
    """What one run of a job saw. Failures (any status but 2xx, with the first body) make a measurement worthless."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: Counter[int] = field(default_factory=Counter)
    first_failure: bytes = b""

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        """Return the latency, in milliseconds, that this share of the answers did not exceed."""
        ranked = self.latencies * 2 if len(self.latencies) == 1 else self.latencies  # it wants two at least
        return statistics.quantiles(ranked, n=100, method="inclusive")[percent - 1] * 1000


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.ticket: Any = None
        self.sent_at = 0.0

    def send(self, job: Job) -> None:
        request, self.ticket = job.request()
        self.received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Read what is there; return status and body once the answer is complete."""
        piece = self.socket.recv(262_144)
        if not piece:
            raise LoadError("The server closed a connection.")
        self.received = self.received + piece if self.received else piece
        return read_answer(self.received)


def read_answer(received: bytes) -> tuple[int, bytes] | None:
    """Return status and body of a complete answer, or None while there is more to come."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = CONTENT_LENGTH.search(received, 0, end)
    if length is not None:
        if len(received) - end - 4 < int(length[1]):
            return None
    elif b"chunked" not in received[:end].lower():
        raise LoadError(f"An answer without a length: {received[:end]!r}")
    elif not received.endswith(b"0\r\n\r\n"):
        return None
    return int(received[9:12]), received[end + 4 :]


def run(port: int, job: Job, *, connections: int, seconds: float) -> Sample:
    """Keep every connection busy for so many seconds, wait for the last answers, and return what was seen."""
    opened = [Connection(port) for _ in range(connections)]
    gc.disable()
    try:
        return _run(opened, job, seconds)
    finally:
        gc.enable()
        for connection in opened:
            connection.socket.close()


def _run(opened: list[Connection], job: Job, seconds: float) -> Sample:
    sample = Sample()
    busy = {connection.socket.fileno(): connection for connection in opened}
    started = now = time.perf_counter()
    with select.epoll() as poll:
        for number, connection in busy.items():
            poll.register(number, select.EPOLLIN)
            connection.send(job)
        while busy:
            ready = poll.poll(SILENCE)
            if not ready:
                raise LoadError(f"No answer for {SILENCE} seconds.")
            for number, _ in ready:
                connection = busy[number]
                answer = connection.receive()
                if answer is None:
                    continue
                now = time.perf_counter()
                sample.latencies.append(now - connection.sent_at)
                _judge(sample, job, connection.ticket, *answer)
                if now - started < seconds:
                    connection.send(job)
                else:
                    poll.unregister(number)
                    del busy[number]
    sample.seconds = now - started
    return sample


def _judge(sample: Sample, job: Job, ticket: Any, status: int, body: bytes) -> None:
    if 200 <= status < 300:
        job.answered(ticket, body)
    else:
        sample.failures[status] += 1
        sample.first_failure = sample.first_failure or body[:300]
