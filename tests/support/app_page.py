"""A page of ours on an origin of its own, as a frontend has; it notes what it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any

from tests.support.apple_provider import QuietServer


class AppPage(str):
    """The origin of a running page, and the paths that were asked for."""

    visits: list[str]


@contextmanager
def app_page() -> Iterator[AppPage]:
    visits: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visits.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>app</title><p>the app")

        def log_message(self, *_: Any) -> None:
            pass

    with QuietServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
        thread.start()
        page = AppPage(f"http://localhost:{server.server_port}")
        page.visits = visits
        try:
            yield page
        finally:
            server.shutdown()
            thread.join()
