"""The operator's commands for files of geofences, run as an operator runs them: what they print, and how they exit."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from accounts.models import AuditEvent
from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.fence_files import collection, feature
from tests.support.fences import URL, names, store_fence
from tests.support.launch import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(database_url: str):
    def run(
        *arguments: object, stderr: int = subprocess.PIPE, given: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "manage.py", *map(str, arguments)]
        environment = {**os.environ, "DATABASE_URL": database_url, "LOG_LEVEL": "WARNING"}
        return subprocess.run(
            command, cwd=PROJECT, env=environment, input=given, stdout=-1, stderr=stderr, check=False, timeout=60
        )

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fences.geojson"
    path.write_bytes(collection(feature("one"), feature("two"), feature("two")))
    return path


def complaints(done: subprocess.CompletedProcess[bytes]) -> list[bytes]:
    """Return what stands in the standard error, but for the line of the log that tells of an audit event."""
    return [line for line in done.stderr.splitlines() if b"audit event" not in line]


def test_a_file_is_imported_in_nobodys_name(alice: Actor, run, file: Path) -> None:
    done = run("import_geofences", file, "--workspace", alice.workspace.slug)

    assert (done.returncode, complaints(done)) == (0, [])
    assert done.stdout == b"3 features: 2 created, 1 duplicates, 0 refused.\n"
    assert names(alice.client.get(URL)) == ["two", "one"]
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.workspace_id, event.actor_id) == ("geofence.imported", alice.workspace.pk, None)


def test_a_dry_run_makes_nothing(alice: Actor, run, file: Path) -> None:
    done = run("import_geofences", file, "--workspace", alice.workspace.slug, "--dry-run")

    assert (done.returncode, done.stdout) == (0, b"3 features: 2 would be created, 1 duplicates, 0 refused.\n")
    assert not Geofence.objects.exists()


def test_a_dry_run_that_would_fail_exits_with_1(alice: Actor, run, file: Path) -> None:
    here = ("--workspace", alice.workspace.slug, "--duplicates", "fail")

    dry = run("import_geofences", file, *here, "--dry-run")
    file.write_bytes(collection(feature("one")))

    assert (dry.returncode, dry.stdout) == (1, b"3 features: 0 would be created, 1 duplicates, 0 refused.\n")
    assert b"the 1 duplicates would refuse the file" in dry.stderr
    assert run("import_geofences", file, *here, "--dry-run").returncode == 0


def test_a_pipe_can_be_imported(alice: Actor, run, file: Path) -> None:
    here = ("--workspace", alice.workspace.slug)
    done = run("import_geofences", "/dev/stdin", *here, "--format", "geojson", given=file.read_bytes())

    assert (done.returncode, done.stdout) == (0, b"3 features: 2 created, 1 duplicates, 0 refused.\n")
    assert names(alice.client.get(URL)) == ["two", "one"]


def test_an_export_that_cannot_be_written_is_not_in_the_trail(alice: Actor, run, tmp_path: Path) -> None:
    here = ("export_geofences", "--workspace", alice.workspace.slug, "--output")

    refused = run(*here, tmp_path / "nowhere" / "out.geojson")
    noted_before = AuditEvent.objects.filter(action="geofence.exported").count()
    written = run(*here, tmp_path / "out.geojson")

    assert (refused.returncode, noted_before, written.returncode) == (1, 0, 0)
    assert AuditEvent.objects.filter(action="geofence.exported").count() == 1


def test_what_is_refused_shows_in_the_exit_code(alice: Actor, run, file: Path) -> None:
    file.write_bytes(collection(feature("one"), feature(None)))
    here = ("--workspace", alice.workspace.slug)

    refused = run("import_geofences", file, *here)
    made_before = Geofence.objects.count()
    partly = run("import_geofences", file, *here, "--skip-refused")

    assert (refused.returncode, made_before) == (1, 0)
    assert b"1: name: the feature has no name" in refused.stderr
    assert b"CommandError: 1 of 2 features are refused, so nothing was created." in refused.stderr
    assert (partly.returncode, partly.stdout) == (3, b"2 features: 1 created, 0 duplicates, 1 refused.\n")


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("a.geojson", None, (), b"cannot be read: No such file"),
        ("a.txt", b"{}", (), b"say with --format what it is"),
        ("a.kml", b"<kml", (), b"not valid XML"),
        ("a.geojson", b"{}", (), b"has no type; it must be a FeatureCollection"),
        ("a.geojson", b"{}", ("--workspace", "nowhere"), b"No workspace has the slug nowhere."),
    ],
)
def test_what_cannot_be_imported_is_said_in_a_sentence(
    alice: Actor, run, tmp_path: Path, name: str, content: bytes | None, options: tuple[str, ...], words: bytes
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    done = run("import_geofences", path, "--workspace", alice.workspace.slug, *options)

    assert (done.returncode, done.stdout) == (1, b"")
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "wrong", "words", "right"),
    [
        ("--radius-meters", "nan", b"CommandError: --radius-meters: ", "12.5"),
        ("--radius-meters", "0", b"CommandError: --radius-meters: ", "1"),
        ("--radius-meters", "1_000", b"CommandError: --radius-meters: ", "1000"),
        ("--name-property", "", b"CommandError: --name-property: ", "name"),
    ],
)
def test_an_option_of_an_import_that_means_nothing_is_refused(
    alice: Actor, run, file: Path, option: str, wrong: str, words: bytes, right: str
) -> None:
    here = ("import_geofences", file, "--workspace", alice.workspace.slug)

    refused = run(*here, option, wrong)
    made_before = Geofence.objects.count()

    assert (refused.returncode, refused.stdout, made_before) == (1, b"", 0)
    assert words in refused.stderr
    assert run(*here, option, right).returncode == 0
    assert names(alice.client.get(URL)) == ["two", "one"]


def test_an_export_by_no_tag_is_refused(alice: Actor, run, tmp_path: Path) -> None:
    store_fence(alice, "Kept", tags=["north"])
    path = tmp_path / "out.geojson"
    here = ("export_geofences", "--workspace", alice.workspace.slug, "--output", path)

    refused = run(*here, "--tag", "")
    was_begun = path.exists()

    assert (refused.returncode, was_begun) == (1, False)
    assert b"CommandError: --tag: Give at most 50 tags of 1 to 64 characters." in refused.stderr
    assert run(*here, "--tag", "North").returncode == 0
    assert b"Kept" in path.read_bytes()


@pytest.mark.parametrize("format_name", ["geojson", "kml", "gpx"])
def test_an_export_can_be_imported_elsewhere(
    alice: Actor, mallory: Actor, run, tmp_path: Path, format_name: str
) -> None:
    store_fence(alice, "Kept", tags=["north"])
    gone = store_fence(alice, "Gone")
    alice.client.delete(f"{URL}/{gone['id']}")
    path = tmp_path / f"out.{format_name}"
    here = ("--workspace", alice.workspace.slug, "--format", format_name)

    written = run("export_geofences", *here, "--output", path)
    printed = run("export_geofences", *here, "--tag", "north")
    everything = run("export_geofences", *here, "--all")
    again = run("export_geofences", *here, "--output", path)
    imported = run("import_geofences", path, "--workspace", mallory.workspace.slug)

    assert (written.returncode, written.stdout, complaints(written)) == (0, b"", [])
    assert printed.stdout == path.read_bytes()
    assert b"Gone" in everything.stdout and b"Gone" not in printed.stdout
    assert again.returncode == 1 and b"cannot be written: File exists" in again.stderr
    assert imported.returncode == 0
    assert names(mallory.client.get(URL)) == ["Kept"]
    assert AuditEvent.objects.filter(action="geofence.exported", workspace_id=alice.workspace.pk).count() >= 3


def test_a_terminal_shows_how_far_it_is(alice: Actor, run, file: Path) -> None:
    reader, writer = pty.openpty()
    try:
        done = run("import_geofences", file, "--workspace", alice.workspace.slug, stderr=writer)
        shown = os.read(reader, 10_000)
    finally:
        os.close(reader)
        os.close(writer)

    assert done.returncode == 0
    assert b"features" in shown and b"%" in shown
    assert json.loads(alice.client.get(URL).content)["total_count"] == 2
