"""A web site on this machine with real TLS, whose certificate authority only those trust who are told to."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Answerer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """`answer` is what it does with a request; `requests` are the paths and Host headers that arrived."""

    def __init__(self, port: int, authority: Path) -> None:
        self.port = port
        self.authority = authority  # for SSL_CERT_FILE
        self.requests: list[tuple[str, str]] = []
        self.answer: Answerer = lambda handler: respond(handler, b"")

    def url(self, path: str = "/metadata", host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"


def respond(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@cache
def authority_and_leaf(names: tuple[str, ...] = ("localhost",)) -> tuple[bytes, bytes]:
    """Return an authority's certificate, and a key with the certificate that it made for these names, in PEM."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of tests")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])

    def issue(name: x509.Name, public_key: Any, extensions: list[x509.ExtensionType]) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(issuer, name, public_key, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(authority_key, hashes.SHA256())

    authority = issue(issuer, authority_key.public_key(), [x509.BasicConstraints(ca=True, path_length=0)])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    leaf = issue(subject, key.public_key(), [alternatives])
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return authority.public_bytes(Encoding.PEM), private + leaf.public_bytes(Encoding.PEM)


@contextmanager
def tls_site(folder: Path) -> Iterator[Site]:
    """Serve on a free port of 127.0.0.1, as `localhost`."""
    authority, leaf = authority_and_leaf()
    (folder / "authority.pem").write_bytes(authority)
    (folder / "leaf.pem").write_bytes(leaf)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append((self.path, self.headers["Host"]))
            site.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Clients that hang up are what tests are about."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "leaf.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        site = Site(server.server_port, folder / "authority.pem")
        thread = threading.Thread(target=server.serve_forever, args=[0.005], daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()


def answering(text: str, status: int = 200, **headers: str) -> Callable[[Any], None]:
    """Return what a site does that gives everybody this answer."""
    return lambda handler: respond(handler, text.encode(), status, **headers)
