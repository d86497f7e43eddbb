"""The process that is profiled: `python -m bench.profiled REQUESTS LINES`, beside the service's own settings and with
its credentials on stdin; bench/profiling.py calls it.
"""

import cProfile
import io
import json
import pstats
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import PurePath
from typing import Any

from django.db import connections

from bench.hashing import bare_hash
from bench.jobs import LOGIN, ONE_LOGIN, OURS, jobs
from bench.load import Job
from spatialflow.wsgi import application

BATCHES = 20
WRITTEN_IN_C = "Python itself"


def main() -> None:
    requests, lines = map(int, sys.argv[1:])
    measured = {name: job for name, job in jobs(json.load(sys.stdin), OURS).items() if name != ONE_LOGIN}
    rows, profiles = [], []
    for name, job in measured.items():
        count = requests // 5 if name == LOGIN else requests
        cpu = least_cpu_ms(job, count) - (bare_hash(2.0) if name == LOGIN else 0.0)
        profile = profiled(job, count // 5)
        rows.append(f"| {name} | {cpu:.2f} | {statements(job)} | {shares(profile)} |")
        profiles.append(f"## {name}\n\n{slowest(profile, lines)}\n")
    head = ["| request | CPU ms | statements | where, by the profiler |", "|---|---:|---:|---|"]
    sys.stdout.write("\n".join([*head, *rows, "", "A login is shown without its hash.", "", *profiles]))


def answer(job: Job) -> None:
    """Send the next request of the job straight into the application. Raises RuntimeError unless the answer is 2xx."""
    request, ticket = job.request()
    statuses: list[str] = []
    response = application(as_environ(request), lambda status, headers, error=None: statuses.append(status))
    body = b"".join(response)
    response.close()
    if not statuses[0].startswith("2"):
        raise RuntimeError(f"{statuses[0]}: {body[:300]!r}")
    job.answered(ticket, body)


def as_environ(request: bytes) -> dict[str, Any]:
    """Return what a server would hand to a WSGI application for a request (PEP 3333)."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.decode("latin-1").split("\r\n")
    method, path, protocol = first.split(" ")
    environ = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (line.split(": ") for line in headers)
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        environ[name] = environ.pop(f"HTTP_{name}", "")
    return {
        **environ,
        **{"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "SERVER_PROTOCOL": protocol},
        **{"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "REMOTE_ADDR": "127.0.0.1", "SCRIPT_NAME": ""},
        **{"wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr},
        **{"wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False, "wsgi.version": (1, 0)},
    }


def least_cpu_ms(job: Job, requests: int) -> float:
    """Return the CPU milliseconds of one request in the cheapest of twenty batches."""
    batch, took = max(1, requests // BATCHES), []
    for _ in range(BATCHES + 1):
        begun = time.process_time()
        for _ in range(batch):
            answer(job)
        took.append((time.process_time() - begun) / batch * 1000)
    return min(took[1:])


def statements(job: Job) -> int:
    """Return the statements of one request."""
    seen: Counter[str] = Counter()

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        seen["statements"] += 1
        return execute(sql, *rest)

    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(count))
        answer(job)
    return seen["statements"]


def profiled(job: Job, requests: int) -> pstats.Stats:
    with cProfile.Profile(time.thread_time) as profile:
        for _ in range(requests):
            answer(job)
    return pstats.Stats(profile)


def shares(profile: pstats.Stats) -> str:
    """Return which share of the time the functions of each package took, without what they called."""
    own: Counter[str] = Counter()
    for (file, _, function), (_, _, seconds, _, _) in functions(profile):
        own[package(file, function)] += seconds
    total = own.total()
    return ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in own.most_common() if seconds > total / 50)


def package(file: str, function: str) -> str:
    """Return whose a function is, by the file that it stands in."""
    parts = PurePath(file).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    if file == "~":
        return "psycopg" if "psycopg" in function else WRITTEN_IN_C
    return "this project" if ".." in file or "lib" not in parts else WRITTEN_IN_C


def functions(profile: pstats.Stats) -> Iterable[Any]:
    return profile.stats.items()  # type: ignore[attr-defined]  # what typeshed leaves out


def slowest(profile: pstats.Stats, lines: int) -> str:
    """Return the functions that took most time themselves, and with what they called."""
    ranked = sorted(functions(profile), key=lambda entry: -entry[1][2])[:lines]
    table = ["| function | calls | own ms | with what it calls |", "|---|---:|---:|---:|"]
    for (file, line, function), (_, calls, own, cumulative, _) in ranked:
        place = function if file == "~" else f"{'/'.join(PurePath(file).parts[-2:])}:{line} {function}"
        table.append(f"| {place} | {calls} | {own * 1000:.1f} | {cumulative * 1000:.1f} |")
    return "\n".join(table)


if __name__ == "__main__":
    main()
