"""A primary and its standby, which follows it synchronously: what a managed PostgreSQL with failover is underneath."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from spatialflow.postgres_programs import Programs, as_permitted_user, find_programs
from tests.support.launch import free_port

SUPERUSER = "postgres"


class Node:
    """One PostgreSQL over TCP on 127.0.0.1."""

    def __init__(self, programs: Programs, data: Path) -> None:
        self.programs, self.data, self.port = programs, data, free_port()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL's to its end."""
        with tempfile.TemporaryFile() as output:
            command = [str(self.programs.folder / program), *arguments]
            code = self.programs.start(command, ended_by="KILL", output=output.fileno()).wait(timeout=60)
            output.seek(0)
            assert code == 0, output.read().decode(errors="replace")

    def start(self) -> None:
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        command = [str(self.programs.folder / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self._child = self.programs.start(command, ended_by="QUIT", output=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline and self._child.poll() is None, "PostgreSQL does not answer."
            time.sleep(0.05)

    def say(self, statement: str) -> str:
        with psycopg.connect(f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/postgres", autocommit=True) as server:
            cursor = server.execute(statement)
            return str(cursor.fetchone()[0]) if cursor.description else ""  # type: ignore[index]

    def crash(self) -> None:
        """End it at once, without a word to its clients or its standby."""
        if self._child is not None:
            self._child.send_signal(signal.SIGQUIT)
            self._child.wait()
            self._child = None

    def _answers(self) -> bool:
        try:
            return self.say("SELECT 1") == "1"
        except psycopg.OperationalError:
            return False


@contextmanager
def primary_and_standby() -> Iterator[tuple[Node, Node]]:
    """Run both, the database `spatialflow` empty; nothing remains afterwards."""
    programs = as_permitted_user(find_programs(None))
    with tempfile.TemporaryDirectory(prefix="spatialflow-replicated-", dir="/tmp") as name, ExitStack() as stack:
        home = Path(name)
        home.chmod(0o711)
        nodes = [Node(programs, home / kind / "data") for kind in ("primary", "standby")]
        for node in nodes:
            node.data.parent.mkdir()
            if programs.user is not None:
                os.chown(node.data.parent, programs.user, -1)
            stack.callback(node.crash)
        primary, standby = nodes
        primary.run("initdb", "-D", str(primary.data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync")
        primary.start()
        primary.say("CREATE DATABASE spatialflow")
        source = f"host=127.0.0.1 port={primary.port} user={SUPERUSER}"
        standby.run("pg_basebackup", "-D", str(standby.data), "-d", source, "-R", "-c", "fast", "--no-sync")
        standby.start()
        primary.say("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.say("SELECT pg_reload_conf()")
        yield primary, standby
