"""SimpleSAMLphp as Debian packages it, run by PHP's own web server: an identity provider that we did not write."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.support.launch import first_that_starts, start, status_of, stop, wait_until
from tests.support.real_providers import RealProvider, make_keys

PROGRAM = Path("/usr/share/simplesamlphp/www")


@contextmanager
def simplesamlphp() -> Iterator[RealProvider]:
    """Run it on a free port of 127.0.0.1 with keys of its own; it knows no service yet."""
    php = shutil.which("php")
    if php is None or not PROGRAM.is_dir():
        raise RuntimeError("SimpleSAMLphp is not here: install the Debian packages simplesamlphp and php8.2-cgi.")
    with tempfile.TemporaryDirectory(prefix="simplesamlphp-") as name:
        folder = Path(name)
        shutil.copytree(Path(__file__).parent / "config", folder, dirs_exist_ok=True)
        for part in ("tmp", "data"):
            (folder / part).mkdir()
        make_keys(folder)
        log = folder / "server.log"
        environment = {**os.environ, "SIMPLESAMLPHP_CONFIG_DIR": str(folder), "PHP_CLI_SERVER_WORKERS": "2"}

        def started_on(port: int) -> RealProvider:
            provider = RealProvider(f"http://127.0.0.1:{port}")
            provider.folder, provider.name, provider.log = folder, "SimpleSAMLphp", log
            provider.metadata_url = f"{provider}/saml2/idp/metadata.php"
            provider.logout_url = f"{provider}/saml2/idp/SingleLogoutService.php?ReturnTo={provider}/logout.php"
            provider.attributes = {"email": "mail", "first_name": "givenName", "last_name": "sn"}
            provider.fill_in, provider.complaint = fill_in, "Incorrect username or password"
            provider.refusal = "Validation of received messages enabled, but no signature found"
            provider.answer()
            command = [php, "-S", f"127.0.0.1:{port}", "-t", str(PROGRAM)]
            with log.open("wb") as output:
                provider.process = start(command, output=output.fileno(), environment=environment)
            wait_until(lambda: status_of(port, "/saml2/idp/metadata.php") == 200, provider.process, "SimpleSAMLphp")
            return provider

        provider = first_that_starts(started_on, log)
        try:
            yield provider
        finally:
            stop(provider.process)


def fill_in(page: Page, user: str, password: str) -> None:
    page.fill("input[name=username]", user)
    page.fill("input[name=password]", password)
    page.click("#submit_button")
