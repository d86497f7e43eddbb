"""An identity provider's page on loopback: whoever presses its button is who the test says."""

import html
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any

from accounts.models import Workspace
from tests.support.apple_provider import QuietServer
from tests.support.saml_idp import SamlIdp, parse_request


@contextmanager
def saml_page(workspace: Workspace, email: str, **lies: Any) -> Iterator[SamlIdp]:
    """Run the serving provider of a workspace, which knows one person, and lies about them as told."""
    idp = SamlIdp()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = f"{idp.sso_url}?{self.path.partition('?')[2]}"
            answer, acs = idp.respond(url, name_id=email, **lies), parse_request(url).acs_url
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(
                f"<!doctype html><title>Provider</title><form method=post action='{html.escape(acs)}'>"
                f"<input type=hidden name=SAMLResponse value='{answer}'><button>Sign in at the provider</button></form>"
                "".encode()
            )

        def log_message(self, *_: Any) -> None:
            pass

    with QuietServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
        thread.start()
        idp.sso_url = f"http://127.0.0.1:{server.server_port}/sso"
        idp.configure(workspace)
        try:
            yield idp
        finally:
            server.shutdown()
            thread.join()
