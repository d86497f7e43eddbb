"""CPU time and memory of a process and everything under it, from Linux's /proc (proc_pid_stat(5))."""

import os
from contextlib import suppress
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """Return user and system time of the process `root`, its living descendants, and those that it waited for."""
    # utime, stime, and both of ended children
    return sum(sum(map(int, fields[11:15])) for fields in _tree(root)) / TICKS_PER_SECOND


def resident_bytes(root: int) -> int:
    """Return the memory of the process `root` and its living descendants; what they share counts for each."""
    return sum(int(fields[21]) for fields in _tree(root)) * PAGE_BYTES


def _tree(root: int) -> list[list[str]]:
    """Return the fields of /proc/PID/stat, from the state on, of the process and its living descendants."""
    stats: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended while we looked
                stats[int(entry.name)] = entry.joinpath("stat").read_text(errors="replace").rpartition(")")[2].split()
    parents = {pid: int(fields[1]) for pid, fields in stats.items()}
    return [fields for pid, fields in stats.items() if _descends(pid, root, parents)]


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid and pid != root:
        pid = parents.get(pid, 0)
    return pid == root
