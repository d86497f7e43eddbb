"""pysaml2's identity provider, which we did not write, in a process of its own (tests/support/pysaml2_idp/server.py).

The tests' process does not import pysaml2: it warns of what cryptography will not have any more.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.support.launch import first_that_starts, start, status_of, stop, wait_until
from tests.support.real_providers import RealProvider, make_keys

WRONG_PASSWORD = "Wrong user name or password."


@contextmanager
def pysaml2_idp() -> Iterator[RealProvider]:
    """Run it on a free port of 127.0.0.1 with keys of its own; it knows no service yet."""
    if shutil.which("xmlsec1") is None:
        raise RuntimeError("pysaml2 signs with a program that is not here: install the Debian package xmlsec1.")
    with tempfile.TemporaryDirectory(prefix="pysaml2-idp-") as name:
        folder = Path(name)
        make_keys(folder)
        log = folder / "server.log"

        def started_on(port: int) -> RealProvider:
            provider = RealProvider(f"http://127.0.0.1:{port}")
            provider.folder, provider.name, provider.log = folder, "pysaml2", log
            provider.metadata_url, provider.logout_url = f"{provider}/metadata", f"{provider}/logout"
            provider.attributes = {  # urn:oid names, as universities use them
                "email": "urn:oid:0.9.2342.19200300.100.1.3",
                "first_name": "urn:oid:2.5.4.42",
                "last_name": "urn:oid:2.5.4.4",
            }
            provider.fill_in, provider.complaint, provider.refusal = fill_in, WRONG_PASSWORD, "Refused:"
            provider.answer()
            command = [sys.executable, "-m", "tests.support.pysaml2_idp.server", str(folder), str(port)]
            with log.open("wb") as output:
                provider.process = start(command, output=output.fileno())
            wait_until(lambda: status_of(port, "/metadata") == 200, provider.process, "pysaml2's identity provider")
            return provider

        provider = first_that_starts(started_on, log)
        try:
            yield provider
        finally:
            stop(provider.process)


def fill_in(page: Page, user: str, password: str) -> None:
    page.fill("input[name=user]", user)
    page.fill("input[name=password]", password)
    page.click("button")
