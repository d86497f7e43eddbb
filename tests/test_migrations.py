"""Migrations beside a service that runs: what they lock, one process at a time, and never long in anybody's way."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from tests.support.launch import PROJECT

# What squawk finds where it is known to be harmless, with the reason. Nothing else may be found, nor anything be listed
# that is not.
BEFORE_THE_FIRST_RELEASE = "no version that came before it has ever served anybody"
SAME_KEY_AND_MORE = "the new primary key, built beside the service, takes the old one's place in one short statement"
FEW_ROWS = "one row a workspace with single sign-on: each statement is short, and the version before goes on beside it"
DEFAULTS = {"ban-drop-default"}
KEYS = {"adding-foreign-key-constraint", "ban-drop-constraint", "constraint-missing-not-valid"}
INDEXES = {"require-concurrent-index-creation"}
ACCEPTED: dict[str, tuple[set[str], str]] = {
    "accounts.0002_account_contract": (DEFAULTS, BEFORE_THE_FIRST_RELEASE),
    "accounts.0006_single_sign_on": (DEFAULTS, BEFORE_THE_FIRST_RELEASE),
    "accounts.0007_undeliverable_email": (DEFAULTS, BEFORE_THE_FIRST_RELEASE),
    "accounts.0009_usage_by_workspace": ({"ban-drop-constraint"}, SAME_KEY_AND_MORE),
    "geofences.0002_search_within_a_workspace": (
        {"require-concurrent-index-deletion"} | INDEXES,
        BEFORE_THE_FIRST_RELEASE,
    ),
    "sso.0002_one_identity_a_provider": (INDEXES, BEFORE_THE_FIRST_RELEASE),
    "sso.0003_saml": (DEFAULTS, BEFORE_THE_FIRST_RELEASE),
    "sso.0004_login_code_begun_at": (DEFAULTS, BEFORE_THE_FIRST_RELEASE),
    "sso.0006_saml_domain": (DEFAULTS, BEFORE_THE_FIRST_RELEASE),
    "sso.0007_saml_login_moment": (DEFAULTS, BEFORE_THE_FIRST_RELEASE),
    "sso.0008_tests_of_what_is": (
        {"adding-not-nullable-field", "ban-drop-not-null"} | KEYS | DEFAULTS | INDEXES,
        BEFORE_THE_FIRST_RELEASE,
    ),
    "sso.0009_saml_keys_beside_one_another": (
        {"disallowed-unique-constraint", "require-concurrent-index-deletion"} | KEYS,
        FEW_ROWS,
    ),
}
# Style; and what `migrate` sets for every migration, outside of their SQL.
STYLE = "prefer-bigint-over-int,prefer-bigint-over-smallint,prefer-robust-stmts,prefer-text-field"
NOT_ASKED = f"{STYLE},require-lock-timeout,require-statement-timeout"


def manage(url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DATABASE_URL": url}
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def migrate(url: str, *arguments: str) -> None:
    process = manage(url, "migrate", *arguments, "--no-input", "--verbosity=0")
    assert process.communicate(timeout=120) == ("", "")
    assert process.returncode == 0


@pytest.fixture
def empty_url(database_url: str) -> Iterator[str]:
    yield from database(database_url, "empty")


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    """The address of a migrated database that nobody else uses."""
    for url in database(database_url, "migrated"):
        migrate(url)
        yield url


def database(url: str, name: str) -> Iterator[str]:
    name = f"{name}_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield url.replace(f"/{server.info.dbname}?", f"/{name}?")
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


# --- What the statements do


@pytest.mark.django_db(transaction=True)  # concurrent indexes are refused within a transaction, even on paper
def test_no_migration_locks_for_long_or_breaks_the_version_before(tmp_path: Path):
    ours = {app.label for app in apps.get_app_configs() if Path(app.path).parent == PROJECT}
    for label, name in MigrationLoader(connection).disk_migrations:
        if label in ours:
            sql = StringIO()
            call_command("sqlmigrate", label, name, stdout=sql)
            tmp_path.joinpath(f"{label}.{name}.sql").write_text(sql.getvalue())

    assert found_in(tmp_path) == {name: rules for name, (rules, _) in ACCEPTED.items()}


def found_in(folder: Path) -> dict[str, set[str]]:
    """Return what squawk finds in each file of SQL."""
    version = connection.pg_version // 10_000
    squawk = [str(Path(sys.executable).with_name("squawk")), "--reporter=json", f"--pg-version={version}"]
    command = [*squawk, f"--exclude={NOT_ASKED}", *map(str, sorted(folder.glob("*.sql")))]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode in (0, 1), answer.stderr
    found: dict[str, set[str]] = {}
    for finding in json.loads(answer.stdout):
        found.setdefault(Path(finding["file"]).stem, set()).add(finding["rule_name"])
    return found


def test_what_would_be_found_is_found(db: None, tmp_path: Path):
    """The judge of the test above is no rubber stamp."""
    statements = {
        "index": 'CREATE INDEX i ON accounts_signin ("method");',
        "type": "ALTER TABLE accounts_signin ALTER COLUMN method TYPE text;",
        "column": "ALTER TABLE accounts_signin ADD COLUMN moment timestamptz NOT NULL;",
        "name": "ALTER TABLE accounts_signin RENAME COLUMN method TO way;",
    }
    for name, sql in statements.items():
        tmp_path.joinpath(f"{name}.sql").write_text(f"SET lock_timeout = '1s';\n{sql}\n")

    assert found_in(tmp_path) == {
        "index": {"require-concurrent-index-creation"},
        "type": {"changing-column-type"},
        "column": {"adding-required-field"},
        "name": {"renaming-column"},
    }


# --- Two at once, and beside those who work


def test_two_migrations_at_once_make_one(empty_url: str):
    """Among them are indexes that are built concurrently, which a process that waits in a statement would hold up."""
    both = [manage(empty_url, "migrate", "--no-input") for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]

    assert [process.returncode for process in both] == [0, 0], outputs
    did = ["Applying accounts.0001_initial... OK" in output for output, _ in outputs]
    assert sorted(did) == [False, True]
    assert sum("No migrations to apply." in output for output, _ in outputs) == 1
    with psycopg.connect(empty_url) as server:
        twice = "SELECT app, name FROM django_migrations GROUP BY app, name HAVING count(*) > 1"
        assert server.execute(twice).fetchall() == []
        assert server.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() == (0,)


@pytest.mark.parametrize("is_ready", [True, False])  # the server may have ended what the killed command had begun
@pytest.mark.django_db(transaction=True)
def test_an_index_that_a_killed_migration_left_is_built_anew(database_url: str, is_ready: bool):
    call_command("migrate", "accounts", "0012", verbosity=0)
    with psycopg.connect(database_url) as long, psycopg.connect(database_url, autocommit=True) as killed:
        if not is_ready:
            long.execute("LOCK TABLE accounts_credentialusage IN ROW EXCLUSIVE MODE")  # as a request that writes has
            killed.execute("SET statement_timeout = 300")
        with nullcontext() if is_ready else pytest.raises(psycopg.errors.QueryCanceled):
            killed.execute("CREATE INDEX CONCURRENTLY usage_by_age ON accounts_credentialusage (started_at)")
        long.rollback()
        asked = "SELECT indexrelid, indisvalid FROM pg_index WHERE indexrelid = 'usage_by_age'::regclass"
        ((left, was_valid),) = killed.execute(asked).fetchall()

        call_command("migrate", verbosity=0)

        assert was_valid == is_ready
        ((built, is_valid),) = killed.execute(asked).fetchall()
        assert is_valid and built != left


def test_a_migration_that_waits_for_a_table_lets_others_pass(url: str):
    last = "0012_mail_switched_at"
    migrate(url, "accounts", "0011")

    def read() -> float:
        began = time.monotonic()
        with psycopg.connect(url, options="-c statement_timeout=10s") as reader:
            reader.execute("SELECT 1 FROM accounts_user LIMIT 1")
        return time.monotonic() - began

    with psycopg.connect(url) as long, ThreadPoolExecutor(1) as pool:
        long.execute("SELECT 1 FROM accounts_user")  # and its transaction stays open
        migration = manage(url, "migrate", "--no-input")
        assert migration.stderr is not None
        first_words = pool.submit(migration.stderr.readline)
        waits = []
        while not first_words.done():
            waits.append(read())
        assert first_words.result() == "A table is in use by a long transaction: trying again.\n"
        waits += [read() for _ in range(50)]
        long.commit()
        output, _ = migration.communicate(timeout=60)

    assert (migration.returncode, f"Applying accounts.{last}... OK" in output) == (0, True)
    assert 0.2 < max(waits) < 3  # one did wait behind the migration, for about the second that it gave itself
