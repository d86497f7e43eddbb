"""`python -m bench.geofences`: how fast point tests and lists are with how many fences, and what an import costs.

All fences are in one database, and rounds interleave what is measured, so that what disturbs the machine disturbs all
of it. Every point lies in one fence.
"""

import itertools
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from statistics import median
from types import FrameType
from typing import IO, Any

from bench import load
from bench.cpu import cpu_seconds, resident_bytes
from bench.jobs import http_request
from bench.servers import Target, output
from bench.service import durable_database, granian, production_settings, project_output

PATH = "/api/v1/geofences"
KEYS = 50  # each may ask 20,000 times an hour
PREPARED = 5_000
MEDIA_TYPES = {"geojson": "geo+json", "kml": "vnd.google-earth.kml+xml", "gpx": "gpx+xml"}
IMPORT_SECONDS = 900
# What has to look at more the more fences there are, by the end of its path.
GROWING = {
    "a tag of all": "?tags=common",
    "the tags": "/tags",
    "the groups": "/groups",
    "a page after nine tenths": "?offset={late}",
}


class Turns:
    """Prepared requests, sent in turn."""

    def __init__(self, requests: list[bytes]) -> None:
        self.turn = itertools.cycle(requests)

    def request(self) -> tuple[bytes, None]:
        return next(self.turn), None

    def answered(self, ticket: None, body: bytes) -> None:
        pass


class PointTests(Turns):
    """Point tests of which each must find exactly one fence."""

    def answered(self, ticket: None, body: bytes) -> None:
        if b'"inside_geofences":1' not in body:
            raise load.LoadError(f"A point test did not find its fence: {body[:200]!r}")


def main() -> int:
    options = read_options()
    signal.signal(signal.SIGTERM, end)
    with durable_database() as database:
        environment = production_settings(database.url)
        project_output("migrate", "--no-input", settings=environment)
        bootstrapped = json.loads(
            project_output(
                *("bootstrap", "--workspace-slug", "import", "--workspace-name", "Import", "--plan", "enterprise"),
                *("--email", "owner@bench.test", "--json"),
                settings=environment,
            )
        )
        application, health = "spatialflow.wsgi:application", "/api/v1/health"
        with granian(application, options.workers, environment, health) as (port, process, _):
            target = Target("spatialflow", port, process.pid, database.child.pid)
            try:
                print_reads(measure_reads(options, target, environment), options)
                print_imports(options, port, process.pid, bootstrapped["api_key"])
            except load.LoadError as error:
                sys.stderr.write(f"{error}\n")
                return 1
    return 0


def end(number: int, frame: FrameType | None) -> None:
    """Let SIGTERM unwind like Ctrl-C, so that everything that was started ends."""
    raise SystemExit(128 + number)


def read_options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.geofences", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fences", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--workspaces", type=int, default=1_000, help="last: so many with 100 each (%(default)s)")
    parser.add_argument("--imported", type=int, nargs="+", default=[10_000, 100_000], help="features of an import")
    parser.add_argument("--rounds", type=int, default=5, help="the table shows medians over them (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement (%(default)s)")
    parser.add_argument("--connections", type=int, default=1, help="keep-alive connections (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="server processes (%(default)s)")
    return parser.parse_args()


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@dataclass
class Row:
    """The rounds of one job: the latencies as its client saw them, and the CPU time of server and Postgres."""

    job: load.Job
    samples: list[load.Sample] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # milliseconds a request

    def measure(self, target: Target, options: Namespace) -> None:
        """Run one round, after a short warm-up. Raises LoadError when an answer was not 2xx."""
        load.run(target.port, self.job, connections=options.connections, seconds=0.5)
        before = self.spent(target)
        sample = load.run(target.port, self.job, connections=options.connections, seconds=options.seconds)
        if sample.failures:
            raise load.LoadError(f"Refused: {dict(sample.failures)}, first {sample.first_failure!r}")
        self.samples.append(sample)
        self.cpu.append((self.spent(target) - before) / len(sample.latencies) * 1000)

    def spent(self, target: Target) -> float:
        return sum(cpu_seconds(root) for root in (target.process, target.database) if root)

    def percentile(self, percent: int) -> float:
        return median(sample.percentile(percent) for sample in self.samples)

    def markdown(self) -> str:
        return f"{self.percentile(50):.2f} | {self.percentile(99):.2f} | {median(self.cpu):.2f}"


def measure_reads(options: Namespace, target: Target, environment: dict[str, str]) -> dict[str, list[Row]]:
    """Return the rows of point tests, of lists and, measured in one round, of GROWING, by what the workspaces hold."""
    steps = [(f"{count:,}", 1, count) for count in options.fences]
    steps.append((f"100 in each of {options.workspaces:,} workspaces", options.workspaces, 100))
    rows = {}
    for number, (name, workspaces, count) in enumerate(steps):
        sys.stderr.write(f"filling: {name}\n")
        command = [sys.executable, "-m", "bench.geofences_seed", f"step{number}"]
        command += [str(argument) for argument in (workspaces, count, max(KEYS, workspaces))]
        keys = json.loads(output(command, environment))
        rows[name] = [Row(point_tests(keys, count)), Row(reads(keys, ""))]
        rows[name] += [Row(reads(keys, path.format(late=count * 9 // 10))) for path in GROWING.values()]
    for number in range(options.rounds):
        sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
        for row in itertools.chain.from_iterable(some[: 2 if number else None] for some in rows.values()):
            row.measure(target, options)
    return rows


def reads(keys: list[str], path: str) -> Turns:
    return Turns([http_request("GET", PATH + path, {"X-API-KEY": key}) for key in keys])


def print_reads(rows: dict[str, list[Row]], options: Namespace) -> None:
    say(
        f"Medians of {options.rounds} rounds of {options.seconds:g} s, {options.connections} keep-alive connection(s), "
        f"Postgres with fsync on; {os.cpu_count()} cores shared by all, load average {os.getloadavg()[1]:.1f}.\n\n"
        "| fences | point test p50 ms | p99 ms | CPU ms | page of 50, p50 ms | p99 ms | CPU ms |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n"
    )
    for name, (tests, pages, *_) in rows.items():
        say(f"| {name} | {tests.markdown()} | {pages.markdown()} |\n")
    few, many = (rows[f"{count:,}"][0] for count in (min(options.fences), max(options.fences)))
    say(
        f"\nA point test among {max(options.fences):,} fences takes {many.percentile(50) / few.percentile(50):.2f} "
        f"times as long (p50) as among {min(options.fences):,}, and {median(many.cpu) / median(few.cpu):.2f} times "
        "the CPU.\n"
    )
    say(f"\n| fences, p50 ms | {' | '.join(GROWING)} |\n|---|{'---:|' * len(GROWING)}\n")
    for name, (_, _, *growing) in rows.items():
        say(f"| {name} | {' | '.join(f'{row.percentile(50):.1f}' for row in growing)} |\n")


def point_tests(keys: list[str], count: int) -> PointTests:
    """Return tests of the centres of random fences. The same for every run, so that runs can be compared."""
    chance, side = random.Random(9), max(1, round(count**0.5))  # noqa: S311 - places, not secrets
    requests = []
    for key in itertools.islice(itertools.cycle(keys), PREPARED):
        number = chance.randrange(count)
        point = {"lng": (number % side) * 0.02 + 0.005, "lat": (number // side) * 0.02 + 0.005}
        requests.append(http_request("POST", f"{PATH}/test-point", {"X-API-KEY": key}, json.dumps(point).encode()))
    return PointTests(requests)


def print_imports(options: Namespace, port: int, server: int, key: str) -> None:
    """Import files of each format, and say how much memory the server processes took at most in all."""
    say("\n| import | MiB | features/s | server before, MiB | at most, MiB |\n|---|---:|---:|---:|---:|\n")
    for format_name, count in itertools.product(MEDIA_TYPES, options.imported):
        with tempfile.TemporaryFile() as file:
            size = write_file(file, format_name, count)
            before = resident_bytes(server)
            with Peak(lambda: resident_bytes(server)) as peak:
                began = time.monotonic()
                send_import(port, key, file, size, format_name, count)
                took = time.monotonic() - began
        mebibytes = " | ".join(f"{number / 2**20:.0f}" for number in (before, peak.bytes))
        say(f"| {count:,} in {format_name} | {size / 2**20:.0f} | {count / took:,.0f} | {mebibytes} |\n")


def send_import(port: int, key: str, file: IO[bytes], size: int, format_name: str, count: int) -> None:
    """Send the file in one request, streamed. Raises LoadError unless a fence was made of every feature."""
    connection = HTTPConnection("127.0.0.1", port, timeout=IMPORT_SECONDS)
    try:
        media_type = f"application/{MEDIA_TYPES[format_name]}"
        headers = {"X-API-KEY": key, "Content-Type": media_type, "Content-Length": str(size)}
        connection.request("POST", f"{PATH}/import", file, headers)
        answer = connection.getresponse()
        body: dict[str, Any] = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 201 or body["created"] != count:
        raise load.LoadError(f"An import failed: {answer.status} {str(body)[:300]}")


def write_file(file: IO[bytes], format_name: str, count: int) -> int:
    """Write so many squares, with names that no other file has, and return the length in bytes."""
    head, write, tail = WRITERS[format_name]
    file.write(head)
    for number in range(count):
        west, south = (number % 1000) * 0.02, number // 1000 * 0.02
        corners = [
            (west, south),
            (west + 0.01, south),
            (west + 0.01, south + 0.01),
            (west, south + 0.01),
            (west, south),
        ]
        file.write(b"," * (number > 0 and format_name == "geojson"))
        file.write(write(f"{format_name} {count} {number}", corners).encode())
    file.write(tail)
    size = file.tell()
    file.seek(0)
    return size


def geojson(name: str, corners: list[tuple[float, float]]) -> str:
    geometry = {"type": "Polygon", "coordinates": [corners]}
    return json.dumps({"type": "Feature", "properties": {"name": name}, "geometry": geometry})


def kml(name: str, corners: list[tuple[float, float]]) -> str:
    ring = f"<coordinates>{' '.join(f'{x},{y}' for x, y in corners)}</coordinates>"
    polygon = f"<Polygon><outerBoundaryIs><LinearRing>{ring}</LinearRing></outerBoundaryIs></Polygon>"
    return f"<Placemark><name>{name}</name>{polygon}</Placemark>"


def gpx(name: str, corners: list[tuple[float, float]]) -> str:
    points = "".join(f'<trkpt lat="{y}" lon="{x}"/>' for x, y in corners)
    return f"<trk><name>{name}</name><trkseg>{points}</trkseg></trk>"


WRITERS: dict[str, tuple[bytes, Callable[[str, list[tuple[float, float]]], str], bytes]] = {
    "geojson": (b'{"type":"FeatureCollection","features":[', geojson, b"]}"),
    "kml": (b'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>', kml, b"</Document></kml>"),
    "gpx": (b'<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1">', gpx, b"</gpx>"),
}


class Peak:
    """The highest of a measured number, looked at twenty times a second."""

    def __init__(self, read: Callable[[], int]) -> None:
        self.read, self.bytes = read, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        while not self.ended.wait(0.05):
            self.bytes = max(self.bytes, self.read())

    def __enter__(self) -> "Peak":
        self.thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.ended.set()
        self.thread.join()


if __name__ == "__main__":
    sys.exit(main())
