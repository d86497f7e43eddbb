"""The local PostgreSQL that `make run` and `make test` use when DATABASE_URL is not set.

The server listens on a private Unix socket only and ends with the process that started it. `postgres_programs` finds
its programs; migrating and all that follows is Django's. No Django here, for settings.py imports this.
`python -m spatialflow.localdb -- COMMAND` runs a command beside a throw-away server.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam
from types import FrameType
from urllib.parse import quote

import psycopg

from spatialflow import processes
from spatialflow.postgres_programs import (
    LocalDatabaseError,
    Programs,
    as_permitted_user,
    find_programs,
    shared_home,
)

DATABASE = "spatialflow"
SUPERUSER = "postgres"
PORT = 5432  # names the socket; nothing listens on the network
MAX_CONNECTIONS = 200
THROW_AWAY_PREFIX = "spatialflow-test-"
FAST_STOP = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
IMMEDIATE_STOP = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


@dataclass(frozen=True)
class Server:
    """A Postgres of ours that answers."""

    url: str
    child: subprocess.Popen[bytes]


def socket_directory(data_dir: Path) -> Path:
    """Return the folder of a data directory's server socket: private, and short (a socket's path holds 107 bytes)."""
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    if os.geteuid() == 0:
        return Path("/var/run/spatialflow") / name  # only root can have made it
    inside = data_dir / "run"
    if len(os.fsencode(inside)) <= 85 and "," not in str(inside):  # libpq splits a host at commas
        return inside
    return Path("/tmp") / f"spatialflow-{os.geteuid()}-{name}"  # noqa: S108 - refused below if somebody else made it


def database_url(sockets: Path) -> str:
    return f"postgresql://{SUPERUSER}@:{PORT}/{DATABASE}?host={quote(str(sockets), safe='')}"


@contextmanager
def server(data_dir: Path) -> Iterator[Server]:
    """Run the durable server of a data directory, whose lock the caller holds; what a killed run left is cleared first.

    Raises LocalDatabaseError.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        programs = as_permitted_user(find_programs(_version_of(data_dir / "postgres")))
        sockets = _private_folder(socket_directory(data_dir), programs.owner)
        _end_servers((data_dir / "postgres").resolve())
        cluster = _prepare_cluster(data_dir / "postgres", programs)
        # The process list is the truth, not these: the pid in them may be a zombie's, or by now a stranger's.
        for mark in (cluster / "postmaster.pid", sockets / f".s.PGSQL.{PORT}", sockets / f".s.PGSQL.{PORT}.lock"):
            mark.unlink(missing_ok=True)
    except processes.ProcessesRemainError as error:
        raise LocalDatabaseError(str(error)) from None
    except OSError as error:
        raise LocalDatabaseError(f"The local data cannot be used: {error}.") from None
    try:
        with _started(programs, cluster, sockets, data_dir / "postgres.log", throw_away=False) as running:
            yield running
    finally:
        with suppress(OSError):
            sockets.rmdir()


@contextmanager
def throw_away_server() -> Iterator[Server]:
    """Run an empty server that forgets everything, in a temporary folder that is always deleted."""
    programs = as_permitted_user(find_programs(None))
    _sweep_throw_aways()
    place = "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else None  # noqa: S108 - short, and `nobody` can enter it
    home = Path(tempfile.mkdtemp(prefix=THROW_AWAY_PREFIX, dir=place))
    try:
        with home.joinpath("lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            home.chmod(0o711 if programs.user is not None else 0o700)
            sockets = _private_folder(home / "run", programs.owner)
            _make_cluster(home / "postgres", programs, durable=False)
            log = home / "postgres.log"
            with _started(programs, home / "postgres", sockets, log, throw_away=True) as running:
                yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


# --- The data


def _version_of(cluster: Path) -> int | None:
    """Return the major version that made the data, or None when there is none yet."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise LocalDatabaseError(f"{cluster} cannot be read; use the user that made it, or move it away.") from None


def _prepare_cluster(cluster: Path, programs: Programs) -> Path:
    """Return the data folder as the programs' user can use it: made when absent, moved when out of its reach."""
    set_aside = cluster.with_name("postgres.moving")
    if set_aside.exists() and not cluster.exists():
        set_aside.rename(cluster)  # a move was interrupted
    _remove(set_aside)
    if not programs.can_enter(cluster.resolve().parent):
        _move_within_reach(cluster, set_aside)
    cluster = cluster.resolve()
    if not cluster.exists():
        _make_cluster(cluster, programs, durable=True)
    if cluster.stat().st_uid != programs.owner:
        if os.geteuid() != 0:
            raise LocalDatabaseError(f"{cluster} belongs to another user; use that user, or move the folder away.")
        _give(cluster, programs.owner)
    return cluster


def _move_within_reach(cluster: Path, set_aside: Path) -> None:
    """Leave a link in place of the data folder and move what it holds to where every user can get to its own."""
    place = Path(tempfile.mkdtemp(prefix="data-", dir=shared_home()))
    place.chmod(0o711)
    if cluster.exists():
        shutil.copytree(cluster.resolve(), place / "postgres", symlinks=True)
        cluster.rename(set_aside)
    elif cluster.is_symlink():
        cluster.unlink()
    cluster.symlink_to(place / "postgres")
    _remove(set_aside)


def _make_cluster(cluster: Path, programs: Programs, *, durable: bool) -> None:
    """Make an empty data folder; it gets its name only when it is complete."""
    draft = cluster.with_name("postgres.new")
    _remove(draft)
    draft.mkdir(mode=0o700)
    _give(draft, programs.owner)
    locale = ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=en_US.UTF-8"]
    if programs.version >= 17:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    command = [str(programs.folder / "initdb"), "-D", str(draft), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", *locale]
    if not durable:
        command.append("--no-sync")
    with tempfile.TemporaryFile() as output:
        if programs.start(command, ended_by="KILL", output=output.fileno()).wait() != 0:
            output.seek(0)
            raise LocalDatabaseError(f"initdb failed: {_last_line(output.read())}")
    draft.rename(cluster)


def _give(folder: Path, owner: int) -> None:
    """Make `owner` the owner of a folder and all in it; the folder itself last, so that an interrupted run repeats."""
    if folder.stat().st_uid == owner:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent) / name, owner, -1, follow_symlinks=False)
    os.chown(folder, owner, -1)


def _private_folder(folder: Path, owner: int) -> Path:
    """Make a folder that only `owner` may enter; somebody else's is refused, for they could read the traffic."""
    if os.geteuid() == 0:
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    trusted = {os.geteuid(), owner} | ({getpwnam("nobody").pw_uid} if os.geteuid() == 0 else set())
    if folder.is_symlink() or not folder.is_dir() or found.st_uid not in trusted:
        raise LocalDatabaseError(f"{folder} was made by somebody else: remove it.")
    folder.chmod(0o700)
    _give(folder, owner)
    return folder


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


# --- The server


@contextmanager
def _started(programs: Programs, cluster: Path, sockets: Path, log: Path, *, throw_away: bool) -> Iterator[Server]:
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "port": PORT,
        "max_connections": MAX_CONNECTIONS,
        # A failed statement and its values may hold secrets: the log tells what the server does, not what it was asked.
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
    }
    if throw_away:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    command = [str(programs.folder / "postgres"), "-D", str(cluster)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    with log.open("wb") as output:
        child = programs.start(command, ended_by="QUIT" if throw_away else "INT", output=output.fileno())
    try:
        _wait_until_it_answers(child, sockets, log)
        yield Server(database_url(sockets), child)
    finally:
        processes.stop_child(child, IMMEDIATE_STOP if throw_away else FAST_STOP)


def _wait_until_it_answers(child: subprocess.Popen[bytes], sockets: Path, log: Path) -> None:
    """Return when the server answers and has our database; recovery after a crash may take its time."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with psycopg.connect(
                host=str(sockets), port=PORT, user=SUPERUSER, dbname="postgres", connect_timeout=5, autocommit=True
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {DATABASE}")
            return
        except psycopg.OperationalError as error:
            if child.poll() is not None:
                raise LocalDatabaseError(f"PostgreSQL did not start: {_last_line(log.read_bytes())}") from None
            if time.monotonic() > deadline:
                raise LocalDatabaseError(f"PostgreSQL does not answer: {_last_line(str(error).encode())}") from None
            time.sleep(0.03)


def _last_line(output: bytes) -> str:
    """Return the most telling line of a program's output."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error:" in line]
    return (telling or lines or ["no reason given"])[-1]


def _end_servers(cluster: Path) -> None:
    """End what a killed run left: the server, or those of its processes that outlived it and still hold the data."""
    processes.end(lambda: _servers_of(cluster), FAST_STOP)


def _servers_of(cluster: Path) -> list[processes.Process]:
    def serves(process: processes.Process) -> bool:
        here = process.folder == str(cluster) or f"-D {cluster} " in f"{process.command_line} "
        return process.name == "postgres" and here

    return [process for process in processes.running() if serves(process)]


def _sweep_throw_aways() -> None:
    """Delete the folders of throw-away servers that were killed before they could."""
    for home in Path("/tmp").glob(f"{THROW_AWAY_PREFIX}*"):  # noqa: S108 - only what is ours
        with suppress(OSError, processes.ProcessesRemainError):
            found = home.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < 60:
                continue
            with home.joinpath("lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                processes.end(lambda home=home: _servers_of(home / "postgres"), IMMEDIATE_STOP)  # type: ignore[misc]
                shutil.rmtree(home)


# --- python -m spatialflow.localdb -- COMMAND


def main(arguments: list[str]) -> int:
    """Run a command beside a throw-away server, unless DATABASE_URL is set already, and return its exit code."""
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments:
        sys.stderr.write("Usage: python -m spatialflow.localdb -- COMMAND [ARGUMENT...]\n")
        return 2
    runner = _CommandRunner()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, runner.take_signal)
    if os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE"):
        return runner.run(arguments, {})
    try:
        with throw_away_server() as database:
            return runner.run(arguments, {"DATABASE_URL": database.url})
    except LocalDatabaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1


class _CommandRunner:
    """Runs one command and passes signals on to it; before there is a command, a signal ends us."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None

    def run(self, command: list[str], additions: dict[str, str]) -> int:
        """Return the command's exit code, in a shell's form: 128 and the number when a signal ended it."""
        try:
            self.child = subprocess.Popen(
                processes.tied(command, "TERM"),
                env={**os.environ, **additions},
                start_new_session=True,  # else Ctrl-C would reach it twice: from the terminal and from us
            )
        except OSError as error:
            sys.stderr.write(f"{command[0]}: {error.strerror}\n")
            return 127
        code = self.child.wait()
        return 128 - code if code < 0 else code

    def take_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.child is None:
            raise SystemExit(128 + number)
        self.child.send_signal(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
