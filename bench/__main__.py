"""`python -m bench`: measure the service beside its peers and print one table. bench/README.md says what the numbers
mean.
"""

import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from bench import load
from bench.hashing import bare_hash
from bench.jobs import HEALTH, ONE_LOGIN, Reads
from bench.peers.targets import PEERS, valkey
from bench.report import Row, print_report
from bench.servers import Target
from bench.service import add_geofences, bare, durable_database, production_settings, seed, service
from spatialflow.postgres_programs import LocalDatabaseError

HEADROOM = 5  # a load generator must be able to do so many times what it measures


def main() -> int:
    options = read_options()
    signal.signal(signal.SIGTERM, end)
    if not Path("/proc/self/stat").exists():
        return fail("The benchmark reads CPU times from /proc and so needs Linux.")
    began = time.monotonic()
    try:
        ceiling = measure_ceiling(options)
        with targets(options) as running:
            rows, hashing = measure(running, options)
    except (load.LoadError, LocalDatabaseError) as error:
        return fail(str(error))
    print_report(rows, ceiling, hashing, options, time.monotonic() - began)
    if ceiling < HEADROOM * max(row.rate() for row in rows if row.name != HEALTH):  # which does next to nothing, too
        return fail(f"The load generator is the bottleneck: it can do only {ceiling:,.0f} requests a second here.")
    return 0


def read_options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench", description="Measure the service; all of it on this machine.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the table shows medians over them (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before each measurement (%(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="keep-alive connections (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="server processes (%(default)s)")
    parser.add_argument("--keys", type=int, default=10_000, help="API keys in the database (%(default)s)")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="which peers (all)")
    return parser.parse_args()


def end(number: int, frame: FrameType | None) -> None:
    """Let SIGTERM unwind like Ctrl-C, so that everything that was started ends."""
    raise SystemExit(128 + number)


def fail(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1


def measure_ceiling(options: Namespace) -> float:
    """Return the requests a second that the load generator reaches where the server has nothing to do."""
    with bare(workers=options.workers) as target:
        job = Reads("/", [{}])
        runs = [load.run(target.port, job, connections=options.connections, seconds=0.7) for _ in range(3)]
        return max(sample.rate for sample in runs)


@contextmanager
def targets(options: Namespace) -> Iterator[list[Target]]:
    """Run everything that is compared, the service first: with its limits in Postgres and, beside peers, in Valkey."""
    with ExitStack() as stack:
        database = stack.enter_context(durable_database())
        settings = production_settings(database.url)
        credentials = seed(settings, options.keys)
        halves = [dict(credentials), dict(credentials)]  # each server spends refresh tokens of its own
        for number, half in enumerate(halves):
            for name in ("refresh_tokens", "homes"):
                half[name] = half[name][number::2]
        workers = options.workers
        running = [stack.enter_context(service("SpatialFlow", database, settings, halves[0], workers=workers))]
        add_geofences(running[0].port, credentials["owner_key"])
        if options.peers:
            url = stack.enter_context(valkey())
            beside = {**settings, "REDIS_URL": url}
            running.append(
                stack.enter_context(
                    service("SpatialFlow, limits in Valkey", database, beside, halves[1], workers=workers)
                )
            )
            for peer in options.peers:
                running.append(stack.enter_context(PEERS[peer](database, url, workers=workers, keys=options.keys)))
        yield running


def measure(running: list[Target], options: Namespace) -> tuple[list[Row], list[float]]:
    """Measure every job of every target in each round, so that what disturbs the machine disturbs all of them. Returns
    the rows, and for each round the milliseconds of a bare password hash.
    """
    rows = [
        Row(target, name, job, 1 if name == ONE_LOGIN else options.connections)
        for target in running
        for name, job in target.jobs.items()
    ]
    order = {name: place for place, name in enumerate(running[0].jobs)}
    hashing = []
    for number in range(options.rounds):
        sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
        for row in sorted(rows, key=lambda row: order[row.name]):
            row.measure(options)
        hashing.append(bare_hash(options.seconds / 2))
    return rows, hashing


if __name__ == "__main__":
    sys.exit(main())
