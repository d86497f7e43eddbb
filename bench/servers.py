"""Servers under measurement: started, waited for, and ended with us."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from bench.load import Job
from spatialflow import processes

PROJECT = Path(__file__).resolve().parents[1]
STOP = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


@dataclass(frozen=True)
class Target:
    """Something that answers jobs: the service, or a peer that it is compared with."""

    name: str
    port: int
    process: int  # the server's first process; CPU time is that of its whole tree
    database: int | None = None  # the same of its database
    jobs: dict[str, Job] = field(default_factory=dict)
    started_in: float = 0.0  # seconds from its start to its first answer


def own_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return settings and what every process needs, whatever else this machine has set."""
    return {**{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}, **settings}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def output(command: list[str], settings: dict[str, str], cwd: Path = PROJECT, given: str = "") -> str:
    """Return what a command prints when it is given a text to read; its complaints go to our stderr."""
    done = subprocess.run(
        processes.tied(command, "KILL"),
        input=given,
        cwd=cwd,
        env=own_environment(settings),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[1:4])} failed; its reason stands above.")
    return done.stdout


@contextmanager
def own_process(
    command: list[str], settings: dict[str, str], *, cwd: Path, quiet: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        processes.tied(command, "TERM"),
        cwd=cwd,
        env=own_environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        processes.stop_child(process, STOP)


@contextmanager
def serving(
    command: list[str], settings: dict[str, str], port: int, path: str, *, cwd: Path = PROJECT
) -> Iterator[tuple[int, subprocess.Popen[bytes], float]]:
    """Run a server, wait for its first answer at `path`, and yield port, process, and the seconds that took."""
    begun = time.monotonic()
    with own_process(command, settings, cwd=cwd) as process:
        while process.poll() is None and time.monotonic() < begun + 30:
            try:
                ask(port, "GET", path)
            except (OSError, HTTPException):
                time.sleep(0.02)
            else:
                yield port, process, time.monotonic() - begun
                return
    raise SystemExit("The server does not answer; its reason stands above.")


def ask(port: int, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> int:
    """Return the status of one request."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        return connection.getresponse().status
    finally:
        connection.close()
