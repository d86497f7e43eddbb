"""What `make audit` says of services that know nothing, that know something, and that do not answer.

OSV and npm's registry are played on loopback; pip-audit and npm are themselves.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

USED = json.loads(Path(settings.BASE_DIR, "package.json").read_text())["dependencies"]
OF_DJANGO = {
    "id": "GHSA-0000-0000-0000",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "django", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
        }
    ],
}
OF_HTMX = {
    "htmx.org": [{"id": 1, "title": "Made up", "severity": "high", "url": "https://x.test", "vulnerable_versions": "*"}]
}


@contextmanager
def services(osv: dict[str, Any], npm: dict[str, Any]) -> Iterator[str]:
    """Play both: what is known of Django, and of npm's packages. Every package has the version that we use."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path[1:].replace("%2f", "/")
            version = USED[name]
            dist = {"tarball": f"https://x.test/{version}.tgz", "shasum": "0" * 40}
            versions = {version: {"name": name, "version": version, "dist": dist}}
            self.answer({"name": name, "dist-tags": {"latest": version}, "versions": versions})

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/osv":
                self.answer(osv if json.loads(asked)["package"]["name"].lower() == "django" else {})
            else:
                self.answer(npm)

        def answer(self, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=[0.005], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(url: str, folder: Path) -> tuple[int, str]:
    """Return how the audit ended and what it printed; nothing is taken from an earlier one."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.advisories", "--service", "osv", "--osv-url", f"{url}/osv"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "npm_config_registry": url, "npm_config_cache": str(folder), "XDG_CACHE_HOME": str(folder)},
        text=True,
        capture_output=True,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_nothing_known_is_an_all_clear(tmp_path: Path):
    with services({}, {}) as url:
        ended, said = audit(url, tmp_path)
    assert (ended, said.count("nothing known"), "NOT CHECKED" in said) == (0, 4, False), said


@pytest.mark.parametrize(
    ("osv", "npm", "line"),
    [
        ({"vulns": [OF_DJANGO]}, {}, "GHSA-0000-0000-0000, repaired in 99.0"),
        ({}, OF_HTMX, "htmx.org *: high"),
    ],
    ids=["python", "node"],
)
def test_what_is_known_is_named_and_fails(tmp_path: Path, osv: dict[str, Any], npm: dict[str, Any], line: str):
    with services(osv, npm) as url:
        ended, said = audit(url, tmp_path)
    assert ended == 1, said
    assert line in said


def test_a_service_that_is_not_reached_is_no_all_clear(tmp_path: Path):
    ended, said = audit("http://127.0.0.1:9", tmp_path)
    assert (ended, said.count("NOT CHECKED")) == (2, 4), said
    assert "This is no all-clear." in said
