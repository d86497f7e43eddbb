"""What two identity providers that we did not write have in common: pysaml2's and Debian's SimpleSAMLphp.

Each runs in a process of its own at 127.0.0.1 and reads the file idp.json in its folder at every request, so a test
changes how it answers by writing that file.
"""

import datetime
import json
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from playwright.sync_api import Page

EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"


@dataclass(frozen=True)
class Person:
    """Somebody whom the identity provider knows."""

    user: str
    email: str
    first_name: str
    last_name: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))


ALICE = Person("alice", "alice@acme.test", "Alice", "Archer")
BOB = Person("bob", "bob@acme.test", "Bob", "Builder")
EVE = Person("eve", "eve@elsewhere.test", "Eve", "Elsewhere")  # of a domain that the workspace has not proven
PEOPLE = (ALICE, BOB, EVE)


@dataclass(frozen=True)
class Answers:
    """How a provider answers."""

    signs_response: bool = True
    signs_assertion: bool = True
    encrypts: bool = False
    name_id_format: str = EMAIL
    signing_key: str = "first"
    announces_next_key: bool = False  # its metadata names the certificate that it will change to
    wants_signed_requests: bool = False
    cipher: str = "http://www.w3.org/2009/xmlenc11#aes256-gcm"  # SimpleSAMLphp has no choice: AES-128-CBC


class RealProvider(str):
    """The base URL of a running identity provider."""

    folder: Path
    name: str
    log: Path
    process: subprocess.Popen[bytes]
    metadata_url: str
    logout_url: str  # where a person signs out at the provider
    attributes: dict[str, str]  # what it calls what it says of a person
    fill_in: Callable[[Page, str, str], None]  # its own login page
    complaint: str  # what that page says to a wrong password
    refusal: str  # what it says to a request that it does not answer

    def answer(self, **changes: object) -> None:
        """Let it answer so from its next request on."""
        write_json(self.folder, self, Answers(**changes))  # type: ignore[arg-type]

    def fetch(self, service_metadata_url: str) -> None:
        """Let it know the service by the metadata there, as its administrator does."""
        replace(self.folder / "sp.xml", read(service_metadata_url))

    def metadata(self) -> bytes:
        return read(self.metadata_url)

    def log_in(self, page: Page, person: Person, password: str = "") -> None:
        """Fill in the provider's page, whose answer then leads on."""
        self.fill_in(page, person.user, password or person.password)


def read(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - servers of our own
        content: bytes = answer.read()
        return content


def write_json(folder: Path, base_url: str, answers: Answers) -> None:
    file = folder / "idp.json"
    known = json.loads(file.read_text()) if file.exists() else {"salt": secrets.token_urlsafe(24)}
    known |= {"base_url": base_url, "entity_id": entity_id(base_url), "people": [asdict(one) for one in PEOPLE]}
    replace(file, json.dumps({**known, **asdict(answers)}).encode())


def entity_id(base_url: str) -> str:
    return f"{base_url}/entity"


def replace(file: Path, content: bytes) -> None:
    """Write the file so that whoever reads it meanwhile reads the old one or the new one."""
    beside = file.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(file)


def make_keys(folder: Path) -> None:
    """Make a provider's key pairs: the one it signs with, the one it will change to, and one that nobody knows."""
    for name in ("first", "next", "untold"):
        key, certificate = key_pair(f"{name}.idp.test")
        (folder / f"{name}.key").write_text(key)
        (folder / f"{name}.crt").write_text(certificate)


def key_pair(name: str) -> tuple[str, str]:
    """Return a new RSA key and its self-signed certificate, in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    pem = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode(), certificate.public_bytes(encoding).decode()
