"""Child processes that end together with us, and the ones that a killed run left behind.

Knows neither Django nor PostgreSQL; `localdb` and the `run` command stand on it.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


class ProcessesRemainError(Exception):
    """A process that must end does not; the text is one sentence for the person at the terminal."""


@dataclass(frozen=True)
class Process:
    """One process that runs now (a zombie does not)."""

    pid: int
    name: str
    command_line: str  # the arguments, separated by spaces
    folder: str  # where it works; empty where the system does not tell


def tied(command: list[str], signal_name: str) -> list[str]:
    """Return the command so that Linux sends it this signal when the process that started it ends, even by kill -9."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or not PROC.joinpath("self", "stat").exists():
        return command
    return [setpriv, "--pdeathsig", signal_name, "--", *command]


def running() -> Iterator[Process]:
    """Yield every process that this user may look at."""
    if PROC.joinpath("self", "stat").exists():
        numbers = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
        yield from (process for process in map(_from_proc, numbers) if process is not None)
    else:
        yield from _from_ps()


def _from_proc(pid: int) -> Process | None:
    entry = PROC / str(pid)
    try:
        name, _, state = entry.joinpath("stat").read_text(errors="replace").partition("(")[2].rpartition(")")
        if state.split()[0] in "ZX":
            return None
        command_line = entry.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None  # it ended while we looked
    try:
        folder = str(entry.joinpath("cwd").readlink())
    except OSError:
        folder = ""  # somebody else's
    return Process(pid, name, command_line, folder)


def _from_ps() -> Iterator[Process]:
    listing = subprocess.run(["ps", "-axo", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    for line in listing.splitlines():
        pid, state, command_line = (*line.split(None, 2), "")[:3]
        if not state.startswith("Z"):
            yield Process(int(pid), Path(command_line.partition(" ")[0]).name, command_line, "")


def end(find: Callable[[], list[Process]], steps: tuple[tuple[signal.Signals, float], ...]) -> None:
    """Send each step's signal to what `find` returns, and wait its seconds, until it returns nothing.

    Raises ProcessesRemainError when something still runs after the last step or belongs to somebody else.
    """
    for number, patience in steps:
        for process in find():
            _send(process, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not find():
                return
            time.sleep(0.05)
    if remaining := ", ".join(f"{process.pid} ({process.name})" for process in find()):
        raise ProcessesRemainError(f"These processes of an earlier run do not end: {remaining}.")


def _send(process: Process, number: signal.Signals) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise ProcessesRemainError(
            f"Process {process.pid} ({process.name}) was started by another user; stop it, or use the same user."
        ) from None


def stop_child(child: subprocess.Popen[bytes], steps: tuple[tuple[signal.Signals, float], ...]) -> None:
    """End our own child with these signals, each given its seconds, and reap it."""
    for number, patience in steps:
        if child.poll() is None:
            child.send_signal(number)
        try:
            child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
        return
    child.kill()
    child.wait()
