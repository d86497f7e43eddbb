"""`python -m bench`: measure the service and print one table. bench/README.md says what the numbers mean."""

import os
import signal
import statistics
import sys
import time
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from bench import load
from bench.cpu import cpu_seconds
from bench.jobs import Reads
from bench.service import Target, bare, service
from spatialflow.postgres_programs import LocalDatabaseError

HEADROOM = 5  # a load generator must be able to do so many times what it measures


@dataclass
class Row:
    """The rounds of one job on one target."""

    target: Target
    name: str
    job: load.Job
    samples: list[load.Sample] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)  # seconds per 1,000 requests
    database_cpu: list[float] = field(default_factory=list)

    def measure(self, options: Namespace) -> None:
        """Run one round: a short warm-up that nothing of is kept, then the measurement."""
        self.keep(load.run(self.target.port, self.job, connections=options.connections, seconds=options.warm_up))
        before = self.cpu()
        sample = load.run(self.target.port, self.job, connections=options.connections, seconds=options.seconds)
        server, database = (
            (after - earlier) / len(sample.latencies) * 1000 for earlier, after in zip(before, self.cpu(), strict=True)
        )
        self.keep(sample)
        self.samples.append(sample)
        self.server_cpu.append(server)
        self.database_cpu.append(database)

    def keep(self, sample: load.Sample) -> None:
        """Raise LoadError when an answer was not 2xx: what refuses is quicker than what works."""
        if sample.failures:
            counts = ", ".join(f"{count} times {status}" for status, count in sample.failures.most_common())
            raise load.LoadError(f"{self.target.name}, {self.name}: {counts}; first body: {sample.first_failure!r}")

    def cpu(self) -> tuple[float, float]:
        database = cpu_seconds(self.target.database) if self.target.database else 0.0
        return cpu_seconds(self.target.process), database

    def rate(self) -> float:
        return statistics.median(sample.rate for sample in self.samples)

    def markdown(self) -> str:
        p50, p99 = (statistics.median(sample.percentile(percent) for sample in self.samples) for percent in (50, 99))
        server, database = statistics.median(self.server_cpu), statistics.median(self.database_cpu)
        return f"| {self.name} | {self.rate():,.0f} | {p50:.1f} | {p99:.1f} | {server:.2f} | {database:.2f} |"


def main() -> int:
    options = read_options()
    signal.signal(signal.SIGTERM, end)
    if not Path("/proc/self/stat").exists():
        return fail("The benchmark reads CPU times from /proc and so needs Linux.")
    began = time.monotonic()
    try:
        ceiling = measure_ceiling(options)
        with service(workers=options.workers, keys=options.keys) as target:
            rows = measure([target], options)
    except (load.LoadError, LocalDatabaseError) as error:
        return fail(str(error))
    print_report(rows, ceiling, options, time.monotonic() - began)
    if ceiling < HEADROOM * max(row.rate() for row in rows):
        return fail(f"The load generator is the bottleneck: it can do only {ceiling:,.0f} requests a second here.")
    return 0


def read_options() -> Namespace:
    parser = ArgumentParser(prog="python -m bench", description="Measure the service; all of it on this machine.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the table shows medians over them (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before each measurement (%(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="keep-alive connections (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="server processes (%(default)s)")
    parser.add_argument("--keys", type=int, default=10_000, help="API keys in the database (%(default)s)")
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


def measure(targets: list[Target], options: Namespace) -> list[Row]:
    """Measure every job of every target in each round, so that what disturbs the machine disturbs all of them."""
    rows = [Row(target, name, job) for target in targets for name, job in target.jobs.items()]
    for number in range(options.rounds):
        sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
        for row in sorted(rows, key=lambda row: list(row.target.jobs).index(row.name)):
            row.measure(options)
    return rows


def print_report(rows: list[Row], ceiling: float, options: Namespace, took: float) -> None:
    lines = [
        f"Medians of {options.rounds} rounds of {options.seconds:g} s, {options.connections} keep-alive connections, "
        f"{options.workers} server processes, {options.keys:,} keys, Postgres with fsync on; {os.cpu_count()} cores "
        f"shared by server, Postgres and load generator, load average {os.getloadavg()[1]:.1f}.",
        "",
        "| request | req/s | p50 ms | p99 ms | server CPU s / 1,000 | Postgres CPU s / 1,000 |",
        "|---|---:|---:|---:|---:|---:|",
        *(row.markdown() for row in rows),
        "",
        f"The load generator's ceiling is {ceiling:,.0f} req/s (a bare WSGI application). All answers were 2xx. "
        f"Took {took:.0f} s.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
