"""Where the processes of one server keep their metrics, so that any of them can tell those of all.

prometheus_client lets each process write a file of its own into one folder. The folder is named after the server that
started them (granian, gunicorn): a worker that is started anew goes on in it, a server that is started anew begins
with an empty one, and those of servers that have ended are deleted.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from spatialflow.processes import PROC


def prepare() -> Path:
    """Return the folder that this process shares with its siblings, made; delete those of servers that have ended."""
    base = Path(tempfile.gettempdir()) / f"spatialflow-metrics-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if base.is_symlink() or base.stat().st_uid != os.getuid():  # anybody may have made it in a folder for all
        base = Path(tempfile.mkdtemp(prefix="spatialflow-metrics-"))
    for other in base.iterdir():
        if not _runs(other.name):
            shutil.rmtree(other, ignore_errors=True)
    folder = base / _name_of(os.getppid())
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _name_of(pid: int) -> str:
    """Return what no later process has: a number is given again, together with its moment of start it is not."""
    with suppress(OSError):
        return f"{pid}-{PROC.joinpath(str(pid), 'stat').read_text().rpartition(')')[2].split()[19]}"
    return str(pid)


def _runs(name: str) -> bool:
    pid = name.partition("-")[0]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _name_of(int(pid)) == name
