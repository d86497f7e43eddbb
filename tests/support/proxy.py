"""A real nginx with the shipped configuration, deploy/nginx.conf, in front of a server."""

import datetime
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.launch import PROJECT, first_that_starts, free_port, source, start, stop, wait_until
from tests.support.race import Answer

HOST = "127.0.0.1"


@dataclass
class Proxy:
    """A running nginx. All of 127.0.0.0/8 is this machine, so that a caller may choose the address it comes from."""

    http_port: int
    https_port: int
    certificate: Path
    log: Path
    process: subprocess.Popen[bytes]

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        caller: str = HOST,
        https: bool = True,
        chunked: bool = False,
    ) -> Answer:
        """Send one request on a connection of its own."""
        if https:
            connection: HTTPConnection = HTTPSConnection(
                HOST, self.https_port, timeout=10, source_address=source(caller), context=self.trust()
            )
        else:
            connection = HTTPConnection(HOST, self.http_port, timeout=10, source_address=source(caller))
        try:
            payload = iter([body or b""]) if chunked else body
            connection.request(method, path, payload, {"Content-Type": "application/json", **(headers or {})})
            return answer_of(connection.getresponse())
        finally:
            connection.close()

    def open(self) -> ssl.SSLSocket:
        """Return a TLS connection, for clients that do not behave."""
        plain = socket.create_connection((HOST, self.https_port), timeout=10, source_address=("127.0.0.66", 0))
        return self.trust().wrap_socket(plain, server_hostname=HOST)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))


@contextmanager
def proxy(server_url: str, changes: dict[str, str] | None = None) -> Iterator[Proxy]:
    """Run nginx before the server, with nothing of its configuration changed but places (and `changes`)."""
    program = nginx_program()
    with tempfile.TemporaryDirectory(prefix="spatialflow-nginx-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)  # nginx's workers are not root, and keep large bodies here
        make_certificate(folder)

        def start_on(http_port: int) -> Proxy:
            https_port = free_port()
            upstream = urlsplit(server_url).netloc
            configuration = adapted(folder, http_port, https_port, upstream, changes or {})
            folder.joinpath("nginx.conf").write_text(configuration)
            command = [program, "-e", "stderr", "-p", name, "-c", str(folder / "nginx.conf")]
            command += ["-g", f"daemon off; pid {folder}/nginx.pid;"]
            log = folder / "nginx.log"
            with log.open("ab") as output:
                process = start(command, output=output.fileno())
            running = Proxy(http_port, https_port, folder / "certificate.pem", log, process)
            wait_until(lambda: running.call("GET", "/", https=False).status > 0, process, "nginx")
            return running

        running = first_that_starts(start_on, folder / "nginx.log")
        try:
            yield running
        finally:
            stop(running.process)


def answer_of(response: HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    body = response.read()
    return Answer(response.status, headers, json.loads(body) if "json" in headers.get("content-type", "") else body)


def nginx_program() -> str:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise RuntimeError("No nginx is here: install the Debian package nginx.")
    return program


def adapted(folder: Path, http_port: int, https_port: int, upstream: str, changes: dict[str, str]) -> str:
    """Return the shipped configuration with this test's ports, paths and server; each must stand there exactly once."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    text = PROJECT.joinpath("deploy", "nginx.conf").read_text()
    for shipped, ours in {
        "http {\n": f"http {{\n{temporary}\n",
        "listen 80;": f"listen {HOST}:{http_port};",
        "listen 443 ssl;": f"listen {HOST}:{https_port} ssl;",
        "server web:8000 ": f"server {upstream} ",
        "/run/secrets/tls_certificate": str(folder / "certificate.pem"),
        "/run/secrets/tls_key": str(folder / "key.pem"),
        **changes,
    }.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, ours)
    return text


def make_certificate(folder: Path) -> None:
    """Write certificate.pem and key.pem for this machine, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.joinpath("certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    folder.joinpath("key.pem").write_bytes(key.private_bytes(*encoding))
