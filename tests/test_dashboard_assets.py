"""The files beside the pages: ours or with their licence, nothing from elsewhere, kept by browsers for a year."""

import re
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.templatetags.static import static
from django.test import Client
from playwright.sync_api import Page

from tests.support.dashboard_browser import DESKTOP, journey, transferred
from tests.support.launch import Server
from tests.support.proxy import proxy

pytest_plugins = ["tests.support.dashboard_fixtures"]

ROOT = settings.BASE_DIR
VENDOR = ROOT / "dashboard/static/vendor"
OURS = ["dashboard/static/dashboard", "dashboard/templates", "spatialflow/templates", "spatialflow/static"]
YEAR = "max-age=31536000, public"


def our_files() -> list[Path]:
    return [path for folder in OURS for path in (ROOT / folder).rglob("*") if path.is_file()]


def test_whatever_is_not_ours_lies_beside_its_licence():
    folders = [folder for folder in VENDOR.iterdir() if folder.is_dir()]

    assert folders
    for folder in folders:
        licences = list(folder.glob("LICENSE*"))
        assert licences and re.search("[Cc]opyright|Zero-Clause BSD", licences[0].read_text()), folder


def test_scripts_and_styles_of_others_come_from_there_alone():
    """A package that brings somebody else's file along seldom brings the licence of that file; the sidecar does."""
    named = {
        name
        for path in our_files()
        if path.suffix == ".html"
        for name in re.findall(r"{% static '([^']+)' %}", path.read_text())
    }

    assert "vendor/htmx/htmx.min.js" in named
    assert {name.split("/")[0] for name in named} <= {"dashboard", "spatialflow", "vendor", "drf_spectacular_sidecar"}


def test_nothing_is_loaded_from_elsewhere():
    """Namespaces of SVG are names; links that people follow are no loads."""
    load = re.compile(
        r"""(?:src|srcset|action|poster|data)\s*=\s*["'](?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import"""
    )
    linked = re.compile(r"<(?:link|use|image|script)[^>]*(?:https?:)?//")
    sheets = [*our_files(), *VENDOR.rglob("*.css")]

    wrong = [
        str(path.relative_to(ROOT))
        for path in sheets
        if load.search(path.read_text()) or linked.search(path.read_text())
    ]

    assert len(sheets) > 8
    assert wrong == []


def test_templates_hold_nothing_inline_and_trust_no_text():
    wrong = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:|\|\s*safe\b|autoescape off|hx-on")

    assert [path.name for path in our_files() if path.suffix == ".html" and wrong.search(path.read_text())] == []


@pytest.mark.parametrize("name", ["dashboard/style.css", "vendor/pico/pico.min.css", "vendor/htmx/htmx.min.js"])
def test_a_file_is_kept_for_a_year_at_an_address_of_its_content(name: str):
    address = static(name)

    with closing(Client().get(address)) as answer:
        assert (answer.status_code, answer["Cache-Control"]) == (200, YEAR)
        assert b"".join(answer)
    assert re.fullmatch(rf"/static/{re.escape(name)}\?v=[0-9a-f]{{12}}", address)


def test_a_file_that_is_not_there_has_no_address():
    with pytest.raises(ValueError, match="no static file"):
        staticfiles_storage.url("dashboard/absent.css")


@pytest.mark.django_db(transaction=True)
def test_a_second_page_loads_nothing_but_itself(site: str):
    def steps(page: Page) -> None:
        weights = []
        for _ in range(2):
            page.goto("/", wait_until="networkidle")
            weights.append(transferred(page))
        cold, warm = weights
        print(f"cold {sum(cold.values())} bytes, warm {sum(warm.values())} bytes: {cold}")
        assert sum(cold.values()) < 200_000
        assert [path for path, size in warm.items() if size] == ["/"]
        assert sum(warm.values()) < 10_000

    journey(site, DESKTOP, steps)


@pytest.mark.django_db(transaction=True)
def test_the_proxy_compresses_files_and_no_page(dashboard_server: Server):
    with proxy(dashboard_server) as front:

        def encoding(path: str) -> str | None:
            connection = HTTPSConnection("127.0.0.1", front.https_port, timeout=10, context=front.trust())
            with closing(connection):
                connection.request("GET", path, headers={"Accept-Encoding": "gzip", "Host": "localhost"})
                answer = connection.getresponse()
                assert answer.status == 200
                print(path, len(answer.read()), "bytes")
                return answer.getheader("Content-Encoding")

        files = ["dashboard/style.css", "vendor/pico/pico.min.css", "vendor/htmx/htmx.min.js", "dashboard/icons.svg"]
        assert [encoding(static(name)) for name in files] == ["gzip"] * len(files)
        assert encoding("/") is None
