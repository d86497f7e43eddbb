"""What happens to Postgres: it restarts under load, stands still, has no more room on its disk."""

import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.faults.load import FENCES, Load
from tests.faults.stage import OUTAGE_ENDS_WITHIN, Finding, Stage, stage, timed, workers_of
from tests.support.launch import Server

SILENT_FOR_AT_MOST = 8.0  # seconds until a request has its 503: what finds the silence out takes 5
AT_ONCE = 1.0  # seconds, on a loaded machine
SMALL_DISK = "320m"


def restarted(found: Stage, how: signal.Signals, seconds: float) -> Finding:
    """Stop Postgres for a second while clients work, and let them go on for so many seconds."""
    finding = Finding(f"Postgres restarted, {'fast' if how == signal.SIGINT else 'immediate'} stop")
    with found.serving() as server:
        processes = workers_of(server)
        with Load(found, server) as load:
            time.sleep(seconds)
            before, began = len(load.shots), time.monotonic()
            found.database.stop(how)
            time.sleep(1)
            found.database.start()
            back = time.monotonic()
            time.sleep(seconds)
        judge_outage(finding, load, began, back)
        finding.figures["answers before, during"] = f"{before}, {sum(load.statuses(began, back).values())}"
        finding.expect(workers_of(server) == processes, "a process of the service was restarted")
        load.judge_what_was_acknowledged(finding)
    return finding


def judge_outage(finding: Finding, load: Load, began: float, back: float, settles_within: float = AT_ONCE) -> None:
    """Let only what was asked during the outage, or was under way when it began, be refused, and by 503 alone."""
    good = [shot for shot in load.shots if shot.status in (200, 201)]
    refused = [shot for shot in load.shots if shot.status not in (200, 201)]
    first = min((shot.ended for shot in good if shot.began > back), default=float("inf"))
    late = [shot for shot in refused if shot.began > back]
    finding.figures["refused"] = statuses(Counter(shot.status for shot in refused))
    finding.figures["asked after it was back and refused"] = str(len(late))
    finding.figures["first good answer after"] = f"{first - back:.2f} s"
    finding.figures["slowest answer"] = f"{max(shot.ended - shot.began for shot in load.shots):.1f} s"
    finding.expect({shot.status for shot in refused} <= {503}, f"answers other than 503: {finding.figures['refused']}")
    finding.expect(not [shot for shot in refused if shot.ended < began], "refusals before the outage")
    finding.expect(not [shot for shot in late if shot.began > back + settles_within], "refusals long after the outage")
    finding.expect(first - back < OUTAGE_ENDS_WITHIN, "the service took too long to recover")


def frozen(found: Stage, seconds: float) -> Finding:
    """Let every process of Postgres stand still while clients work: its sockets stay open, and nothing answers."""
    finding = Finding("Postgres stands still (SIGSTOP)")
    with found.serving() as server, Load(found, server) as load:
        time.sleep(1.5)
        began = time.monotonic()
        with found.database.frozen():
            time.sleep(SILENT_FOR_AT_MOST)
            judge_silence(finding, found, server, seconds)
        back = time.monotonic()
        time.sleep(4)
    with found.serving() as server:
        load.server = server
        judge_outage(finding, load, began, back, OUTAGE_ENDS_WITHIN)
        slowest = max(shot.ended - shot.began for shot in load.shots)
        finding.expect(slowest < SILENT_FOR_AT_MOST, f"a request waited {slowest:.1f} s")
        load.judge_what_was_acknowledged(finding)
    return finding


def judge_silence(finding: Finding, found: Stage, server: Server, seconds: float) -> None:
    """Ask, while it is silent, for health and for what needs it; 16 at a time."""

    def ask(number: int) -> tuple[int, float]:
        path = "/api/v1/health" if number % 4 == 0 else FENCES
        answer, took = timed(server, "GET", path, headers=found.person(number % 4))
        return answer.status * (1 if path == FENCES else -1), took

    deadline, answers = time.monotonic() + seconds, []
    with ThreadPoolExecutor(16) as pool:
        while time.monotonic() < deadline:
            answers += pool.map(ask, range(16))
    health = sorted(took for status, took in answers if status < 0)
    others = sorted(took for status, took in answers if status > 0)
    finding.figures["health while it is silent"] = f"median {middle(health):.2f} s, at most {health[-1]:.2f} s"
    finding.figures["503 while it is silent"] = f"median {middle(others):.2f} s, at most {others[-1]:.2f} s"
    finding.expect({status for status, _ in answers} == {-200, 503}, "answers other than 503, or no health")
    finding.expect(max(health[-1], others[-1]) < SILENT_FOR_AT_MOST, "an answer took too long")


def disk_full(seconds: float) -> Finding:
    """Fill the disk that Postgres is on while clients work, and make room again."""
    finding = Finding("disk of Postgres full")
    with small_disk() as disk, stage(folder=disk) as found, found.serving() as server:
        with Load(found, server) as load:
            time.sleep(1.5)
            began = time.monotonic()
            ballast = disk / "ballast"
            with ballast.open("wb") as file:
                for piece in (1 << 20, 1 << 12):
                    fill(file.fileno(), piece)
            time.sleep(seconds)
            until = time.monotonic()
            ballast.unlink()
            if found.database.server.child.poll() is not None:  # the disk of its log: Postgres ends, and comes back
                finding.figures["Postgres itself"] = "ended, and was started again"
                found.database.stop()
                found.database.start()
            back = time.monotonic()
            time.sleep(3)
        during = [shot for shot in load.shots if began <= shot.began < until]
        for kind in ("read", "refresh", "key", "fence"):
            seen = Counter(shot.status for shot in during if shot.kind == kind)
            finding.figures[f"{kind} while full"] = statuses(seen)
        judge_outage(finding, load, began, back)
        finding.expect(any(shot.status == 503 for shot in during), "the disk was not full")
        load.judge_what_was_acknowledged(finding)
    return finding


def fill(descriptor: int, piece: int) -> None:
    """Write until nothing fits any more."""
    try:
        while True:
            os.write(descriptor, bytes(piece))
    except OSError:
        return


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a disk of its own for Postgres; only root may."""
    with tempfile.TemporaryDirectory(prefix="spatialflow-disk-", dir="/var/tmp") as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=0711", "tmpfs", name], check=True)
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def statuses(counted: Counter[int]) -> str:
    """Return counts of statuses as text; 0 is a connection that ended without an answer."""
    return ", ".join(f"{count} x {status}" for status, count in sorted(counted.items())) or "none"


def middle(ranked: list[float]) -> float:
    return ranked[len(ranked) // 2]
