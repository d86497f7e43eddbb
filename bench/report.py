"""The rows of the benchmark, and what they say about its targets."""

import os
import statistics
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bench import load
from bench.cpu import cpu_seconds
from bench.jobs import JWT, KEY, ONE_LOGIN, REFRESH
from bench.servers import Target


@dataclass
class Row:
    """The rounds of one job on one target."""

    target: Target
    name: str
    job: load.Job
    connections: int
    samples: list[load.Sample] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)  # seconds per 1,000 requests
    database_cpu: list[float] = field(default_factory=list)

    def measure(self, options: Namespace) -> None:
        """Run one round: a short warm-up that nothing of is kept, then the measurement."""
        self.keep(load.run(self.target.port, self.job, connections=self.connections, seconds=options.warm_up))
        before = self.cpu()
        sample = load.run(self.target.port, self.job, connections=self.connections, seconds=options.seconds)
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

    def percentile(self, percent: int) -> float:
        return statistics.median(sample.percentile(percent) for sample in self.samples)

    def markdown(self) -> str:
        server, database = statistics.median(self.server_cpu), statistics.median(self.database_cpu)
        return (
            f"| {self.name} | {self.target.name} | {self.rate():,.0f} | {self.percentile(50):.1f} | "
            f"{self.percentile(99):.1f} | {server:.2f} | {database:.2f} |"
        )


def print_report(rows: list[Row], ceiling: float, hashing: list[float], options: Namespace, took: float) -> None:
    names = list(dict.fromkeys(row.name for row in rows))
    started = ", ".join(f"{target.name} {target.started_in:.1f} s" for target in _targets(rows))
    lines = [
        f"Medians of {options.rounds} rounds of {options.seconds:g} s, {options.connections} keep-alive connections, "
        f"{options.workers} server processes, {options.keys:,} keys, Postgres with fsync on; {os.cpu_count()} cores "
        f"shared by server, Postgres and load generator, load average {os.getloadavg()[1]:.1f}.",
        "",
        "| request | of | req/s | p50 ms | p99 ms | server CPU s / 1,000 | Postgres CPU s / 1,000 |",
        "|---|---|---:|---:|---:|---:|---:|",
        *(row.markdown() for row in sorted(rows, key=lambda row: names.index(row.name))),
        "",
        f"A bare Argon2id hash takes {statistics.median(hashing):.1f} ms. From start to first answer: {started}. "
        f"The load generator's ceiling is {ceiling:,.0f} req/s (a bare WSGI application). All answers were 2xx. "
        f"Took {took:.0f} s.",
        "",
        "| target | measured |",
        "|---|---:|",
        *(f"| {sentence} | {figure} |" for sentence, figure in _against_targets(rows, statistics.median(hashing))),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _targets(rows: Iterable[Row]) -> list[Target]:
    return list({row.target.name: row.target for row in rows}.values())


def _against_targets(rows: list[Row], hashing: float) -> Iterator[tuple[str, str]]:
    """Yield each target with what was measured of the service as it runs without Valkey."""
    found = {(row.target.name, row.name): row for row in rows}
    ours = {name: found[_targets(rows)[0].name, name] for name in _targets(rows)[0].jobs}
    for name, peer, least in (
        (KEY, "stock", "at least 6, aim for 8"),
        (KEY, "FastAPI", "at least 1, aim for 1.3"),
        (KEY, "better-auth", "at least 2.2"),
        (JWT, "stock", "at least 5.5, aim for 7"),
        (JWT, "FastAPI", "aim for 1.2"),
        (REFRESH, "stock", "at least 5"),
        (REFRESH, "FastAPI", "aim for 1"),
    ):
        if (peer, name) in found:
            yield f"{name}: times the req/s of {peer} ({least})", f"{ours[name].rate() / found[peer, name].rate():.2f}"
    if ("stock", KEY) in found:
        share = statistics.median(ours[KEY].server_cpu) / statistics.median(found["stock", KEY].server_cpu)
        yield f"{KEY}: share of stock's CPU (at most 0.13)", f"{share:.3f}"
    yield "login beyond the bare hash, ms (at most 4)", f"{ours[ONE_LOGIN].percentile(50) - hashing:.1f}"
    for name in (KEY, JWT, REFRESH):
        yield f"{name}: p99 by p50 (at most 4)", f"{ours[name].percentile(99) / ours[name].percentile(50):.1f}"
    yield "start to first answer, s (at most 2)", f"{_targets(rows)[0].started_in:.1f}"
