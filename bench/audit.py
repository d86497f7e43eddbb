"""`python -m bench.audit`: how many events a minute the audit trail takes, and whether its chain holds afterwards.

All events go to one chain, so that writers queue for its head; each event is on disk before the next (fsync on).
Writers are processes, as the service's workers are.
"""

import os
import subprocess
import sys
import time
from argparse import ArgumentParser

from bench.servers import PROJECT, own_environment
from bench.service import durable_database, production_settings, project_output
from spatialflow import processes


def main() -> int:
    parser = ArgumentParser(prog="python -m bench.audit", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the writers write (%(default)s)")
    parser.add_argument("--writers", type=int, default=8, help="writers at the same time (%(default)s)")
    options = parser.parse_args()
    with durable_database() as database:
        settings = production_settings(database.url)
        project_output("migrate", "--no-input", settings=settings)
        counts = append(options.writers, options.seconds, settings)
        began = time.monotonic()
        verdict = project_output("verify_audit_log", settings=settings)  # ends us when the chain is broken
        took = time.monotonic() - began
    if f" {sum(counts)} rows" not in verdict:
        sys.stderr.write(f"The writers appended {sum(counts)} events, but: {verdict}")
        return 1
    sys.stdout.write(
        f"{sum(counts) / options.seconds * 60:,.0f} events a minute by {options.writers} writers at the same time "
        f"({min(counts):,} to {max(counts):,} each in {options.seconds:g} s), Postgres with fsync on, {os.cpu_count()} "
        f"cores, load average {os.getloadavg()[0]:.1f}. Verified in {took:.1f} s. {verdict}"
    )
    return 0


def append(writers: int, seconds: float, settings: dict[str, str]) -> list[int]:
    """Let the writers begin together and return how many events each appended."""
    command = processes.tied([sys.executable, "-m", "bench.audit_writer", str(seconds)], "KILL")
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(command, cwd=PROJECT, env=own_environment(settings), stdin=pipe, stdout=pipe, text=True)
        for _ in range(writers)
    ]
    for writer in running:
        if writer.stdout is None or writer.stdout.readline() != "ready\n":
            raise SystemExit("A writer did not start; its reason stands above.")
    for writer in running:
        if writer.stdin is not None:
            writer.stdin.write("go\n")
            writer.stdin.flush()
    counts = [writer.communicate()[0] for writer in running]
    if any(writer.returncode for writer in running):
        raise SystemExit("A writer failed; its reason stands above.")
    return [int(count) for count in counts]


if __name__ == "__main__":
    sys.exit(main())
