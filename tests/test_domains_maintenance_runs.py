"""How the hourly command of single sign-on runs: at once with others, again and again, without a database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.utils import timezone
from ruamel.yaml import YAML

from tests.support.dns_server import DnsServer
from tests.support.domains import let_pass, prove, proven_row
from tests.support.launch import PROJECT
from tests.support.mails import held_back
from tests.support.race import at_once
from tests.support.sso_maintenance import DAY, a_provider, actions, certificate

pytest_plugins = ["tests.support.dns_fixtures"]
pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_several_runs_at_once_tell_everything_once(database_url, alice, dns):
    for number in range(6):
        prove(alice, dns, f"lost{number}.test")
        proven_row(alice.workspace, f"over{number}.test", lost_at=timezone.now() - 4 * DAY)
    dns.records.clear()
    let_pass(DAY)
    a_provider(alice.workspace, [certificate(5 * DAY)])

    with held_back() as messages:
        outputs = at_once(4, lambda _: in_a_process(database_url, dns))

    assert [output.returncode for output in outputs] == [0] * 4, outputs
    subjects = [message.subject for message in messages]
    assert len(subjects) == len(set(subjects)) == 6 + 6 + 1
    assert (actions().count("domain.proof_lost"), actions().count("domain.suspended")) == (6, 6)


def in_a_process(database_url: str, dns: DnsServer, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "sso_maintenance", *options]
    return subprocess.run(
        command, cwd=PROJECT, env=environment(database_url, dns), capture_output=True, text=True, check=False
    )


def environment(database_url: str, dns: DnsServer) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url, "DNS_RESOLVER": "{}:{}".format(*dns.address)}


def test_without_a_database_the_command_says_so_and_fails(database_url, dns):
    gone = in_a_process("postgresql://nobody@127.0.0.1:9/none", dns)

    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.strip().splitlines()[-1] == "CommandError: The database does not answer (OperationalError)."


@pytest.mark.django_db(transaction=True)
def test_it_runs_again_and_again(database_url, alice, dns, tmp_path):
    with in_the_background(database_url, dns, tmp_path / "log") as log:
        for domain in ("first.test", "second.test"):
            proven_row(alice.workspace, domain, checked_at=None)
            wait_for(f"{domain}: the record is missing", log)


def test_it_outlives_a_database_that_is_gone(dns, tmp_path):
    with in_the_background("postgresql://nobody@127.0.0.1:9/none", dns, tmp_path / "log") as log:
        wait_for("Trying again in 1 s.", log, times=2)


@contextmanager
def in_the_background(database_url: str, dns: DnsServer, log: Path) -> Iterator[Path]:
    """Run the command every second; it runs still when the block ends."""
    command = [sys.executable, "manage.py", "sso_maintenance", "--every", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment(database_url, dns), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield log
    finally:
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM


def wait_for(line: str, log: Path, times: int = 1) -> None:
    deadline = time.monotonic() + 30
    while log.read_text().count(line) < times:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_the_composed_service_runs_it_every_hour_where_the_dns_is_reached():
    services = YAML(typ="safe").load(PROJECT / "docker-compose.yml")["services"]
    maintenance, web = services["maintenance"], services["web"]

    assert maintenance["command"] == ["python", "manage.py", "sso_maintenance", "--every", "3600"]
    assert "front" in maintenance["networks"]  # the other network leads nowhere
    for name in ("image", "environment", "secrets", "restart", "read_only", "cap_drop"):
        assert maintenance[name] == web[name]
