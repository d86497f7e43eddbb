"""The certified OpenID provider `oidc-provider` (npm), on loopback; `make test` installs it beside this file."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.launch import start, status_of, stop, wait_until

HERE = Path(__file__).parent
CLIENT_ID, CLIENT_SECRET = "web.apps.google.test", "google-client-secret-of-tests"


@contextmanager
def oidc_provider(issuer: str, redirect_uri: str) -> Iterator[None]:
    """Run the provider at `issuer` (http://127.0.0.1:port), with us as its one client."""
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("Node.js is not here: install the Debian packages nodejs and npm.")
    if not (HERE / "node_modules/oidc-provider").is_dir():
        raise RuntimeError("The npm package oidc-provider is not installed: run `make test`, which does it.")
    port = urlsplit(issuer).port or 0
    command = [node, str(HERE / "provider.mjs"), str(port), CLIENT_ID, CLIENT_SECRET, redirect_uri]
    process = start(command, output=subprocess.DEVNULL)
    try:
        wait_until(lambda: status_of(port, "/.well-known/openid-configuration") == 200, process, "oidc-provider")
        yield
    finally:
        stop(process)
