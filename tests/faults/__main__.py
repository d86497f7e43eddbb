"""`python -m tests.faults`: play every fault for longer than the tests do, and print one table with what it did."""

import os
import signal
import sys
from collections.abc import Callable, Iterator

from tests.faults import clocks, counters, postgres, proxied, sign_ins, workers
from tests.faults.stage import Finding, Stage, stage

SECONDS = 5.0  # of load before and after a fault
FAULTS: list[Callable[[Stage], Finding]] = [
    lambda found: postgres.restarted(found, signal.SIGINT, SECONDS),
    lambda found: postgres.restarted(found, signal.SIGQUIT, SECONDS),
    lambda found: postgres.frozen(found, SECONDS),
    lambda found: counters.gone(found, SECONDS),
    lambda found: counters.hanging(found, SECONDS),
    workers.killed_in_a_refresh,
    lambda found: workers.killed_under_load(found, 4),
    lambda found: proxied.slow_clients(found, 4 * SECONDS),
    lambda found: sign_ins.crowded(found, 10_000),
]


def findings() -> Iterator[Finding]:
    with stage(sign_ins_of_each=30) as found:
        for play in FAULTS:
            yield play(found)
    with stage(people=5, sign_ins_of_each=1) as found:
        for ahead in (-3600, -300, -45, 45, 300, 3600):
            yield clocks.wrong_by(found, ahead)
    if os.geteuid() == 0:
        yield postgres.disk_full(SECONDS)
    else:
        sys.stderr.write("A small disk could not be mounted: only root may. The fault of a full disk was left out.\n")


def main() -> int:
    """Return 1 where something did not hold."""
    failed = 0
    sys.stdout.write("| fault | what was seen | holds |\n|---|---|---|\n")
    for finding in findings():
        seen = "; ".join(f"{name}: {figure}" for name, figure in finding.figures.items())
        sys.stdout.write(f"| {finding.fault} | {seen} | {'; '.join(finding.broken) or 'yes'} |\n")
        sys.stdout.flush()
        failed += bool(finding.broken)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
