"""An identity provider of our own that signs whatever a test asks for: real keys, real signatures, and it can lie in
every way. Every field of `Message` is such a way, and so are the hooks on its tree and on its bytes.

    idp = SamlIdp()
    idp.configure(acme)                                 # the rows: a serving connection and a proven domain
    form = {"SAMLResponse": idp.respond(url)}           # url: where `initiate` sent the browser
    form = {"SAMLResponse": idp.respond(url, name_id="carol@acme.test", sign="both", recipient="https://elsewhere")}
"""

import base64
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape, quoteattr

import xmlsec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.utils import timezone
from lxml import etree

from accounts.models import Workspace, WorkspaceDomain
from sso.models import IdentityProvider
from sso.saml import service_provider

NS = {
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "xenc": "http://www.w3.org/2001/04/xmlenc#",
}
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
EMAIL_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
URI_FORMAT = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"

Time = int | str | None  # seconds from now, the text itself, or not there
Edit = Callable[[Any], Any]


# --- Keys


@cache
def private_key(name: str) -> Any:
    """Return the key of that name; those beginning with `ec` are of an elliptic curve. Tests share them."""
    if name.startswith("ec"):
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 1024 if name == "weak" else 2048)


@cache
def key_pem(name: str) -> str:
    return private_key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def certificate(name: str, days: int = 365, begins: int = -1) -> str:
    """Return a self-signed certificate of the key of that name, in PEM. With days below zero it has expired."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.idp.test")])
    start = datetime.now(UTC) + timedelta(days=min(begins, days - 1))
    builder = x509.CertificateBuilder(subject, subject, private_key(name).public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(datetime.now(UTC) + timedelta(days=days))
    return builder.sign(private_key(name), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def fingerprint(pem: str) -> str:
    """Return a certificate's SHA-256 as the checks show it: upper case, colons between."""
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex(":").upper()


# --- What it says


def instant(when: Time) -> str | None:
    if isinstance(when, int):
        return (datetime.now(UTC) + timedelta(seconds=when)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return when


def new_id() -> str:
    return f"_{secrets.token_hex(16)}"


def fresh(root: Any) -> Any:
    """Return the tree parsed again: `find` does not see all of what xmlsec has put into one."""
    return etree.fromstring(etree.tostring(root))


def attributes_of(**values: str | None) -> str:
    """Return XML attributes; those that are None are left out."""
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items() if value is not None)


@dataclass
class Message:
    """One response. What is None is not in it. `edit` changes the tree before any signature, `edit_assertion` the
    assertion after its own signature and before it is encrypted, `edit_signed` the finished tree, `rewrite` its bytes.
    """

    in_response_to: str | None
    destination: str | None
    recipient: str | None
    audiences: list[list[str]]  # one list for each AudienceRestriction
    issuer: str | None  # of the assertion
    response_issuer: str | None
    key: str = "idp"
    confirmation_in_response_to: str | None = "as the response"
    response_id: str | None = field(default_factory=new_id)
    assertion_id: str | None = field(default_factory=new_id)
    version: str | None = "2.0"
    assertion_version: str | None = "2.0"
    issued: Time = 0
    status: str | None = SUCCESS
    name_id: str | None = "bob@acme.test"
    name_id_format: str | None = EMAIL_FORMAT
    method: str | None = BEARER
    confirmation_not_before: Time = None
    confirmation_not_on_or_after: Time = 300
    has_conditions: bool = True
    not_before: Time = -60
    not_on_or_after: Time = 300
    has_authn_statement: bool = True
    session_index: str | None = field(default_factory=new_id)
    session_not_on_or_after: Time = None
    attributes: dict[str, str | list[str]] = field(default_factory=dict)
    sign: str = "assertion"  # or response, both, none
    signature_method: str = "RSA_SHA256"  # names of xmlsec.Transform
    digest_method: str = "SHA256"
    canonicalization: str = "EXCL_C14N"
    inclusive_prefixes: list[str] = field(default_factory=list)  # of InclusiveNamespaces, where there are any
    embeds_certificate: bool = True
    encrypt_for: str | None = None  # the service provider's certificate, PEM
    inherits_namespaces: bool = False  # what is encrypted declares none of its own
    cipher: str = "AES256_GCM"
    key_transport: str = "RSA_OAEP"
    edit: Edit | None = None
    edit_assertion: Edit | None = None
    edit_signed: Edit | None = None
    rewrite: Callable[[bytes], bytes] | None = None

    def build(self) -> bytes:
        """Return the document: made, signed, encrypted, and bent on the way as the test asks."""
        root = etree.fromstring(self.text().encode())
        root = self._bend(self.edit, root)
        if self.sign in ("assertion", "both"):
            self.add_signature(root.find("saml:Assertion", NS))
            root = fresh(root)
        self._bend(self.edit_assertion, root.find("saml:Assertion", NS))
        if self.encrypt_for:
            self.encrypt(root, root.find("saml:Assertion", NS))
            root = fresh(root)
        if self.sign in ("response", "both"):
            self.add_signature(root)
            root = fresh(root)
        raw = etree.tostring(self._bend(self.edit_signed, root))
        return self.rewrite(raw) if self.rewrite else raw

    @staticmethod
    def _bend(edit: Edit | None, tree: Any) -> Any:
        changed = edit(tree) if edit else None
        return tree if changed is None else changed

    # --- Its text

    def text(self) -> str:
        head = attributes_of(
            ID=self.response_id,
            Version=self.version,
            IssueInstant=instant(self.issued),
            Destination=self.destination,
            InResponseTo=self.in_response_to,
        )
        issuer = self.element("saml:Issuer", self.response_issuer)
        code = "" if self.status is None else f"<samlp:StatusCode{attributes_of(Value=self.status)}/>"
        return (
            f'<samlp:Response xmlns:samlp="{NS["samlp"]}" xmlns:saml="{NS["saml"]}"{head}>{issuer}'
            f"<samlp:Status>{code}</samlp:Status>{self.assertion_text()}</samlp:Response>"
        )

    def assertion_text(self) -> str:
        head = attributes_of(ID=self.assertion_id, Version=self.assertion_version, IssueInstant=instant(self.issued))
        body = self.element("saml:Issuer", self.issuer) + self.subject_text()
        body += self.conditions_text() + self.statements_text()
        return f'<saml:Assertion xmlns:saml="{NS["saml"]}"{head}>{body}</saml:Assertion>'

    def subject_text(self) -> str:
        name_id = self.element("saml:NameID", self.name_id, Format=self.name_id_format)
        of_confirmation = self.confirmation_in_response_to
        data = attributes_of(
            InResponseTo=self.in_response_to if of_confirmation == "as the response" else of_confirmation,
            NotBefore=instant(self.confirmation_not_before),
            NotOnOrAfter=instant(self.confirmation_not_on_or_after),
            Recipient=self.recipient,
        )
        return (
            f"<saml:Subject>{name_id}<saml:SubjectConfirmation{attributes_of(Method=self.method)}>"
            f"<saml:SubjectConfirmationData{data}/></saml:SubjectConfirmation></saml:Subject>"
        )

    def conditions_text(self) -> str:
        if not self.has_conditions:
            return ""
        times = attributes_of(NotBefore=instant(self.not_before), NotOnOrAfter=instant(self.not_on_or_after))
        restrictions = "".join(
            f"<saml:AudienceRestriction>{''.join(self.element('saml:Audience', one) for one in group)}"
            "</saml:AudienceRestriction>"
            for group in self.audiences
        )
        return f"<saml:Conditions{times}>{restrictions}</saml:Conditions>"

    def statements_text(self) -> str:
        statement = ""
        if self.has_authn_statement:
            head = attributes_of(
                AuthnInstant=instant(self.issued),
                SessionIndex=self.session_index,
                SessionNotOnOrAfter=instant(self.session_not_on_or_after),
            )
            context = self.element("saml:AuthnContextClassRef", PASSWORD)
            statement = (
                f"<saml:AuthnStatement{head}><saml:AuthnContext>{context}</saml:AuthnContext></saml:AuthnStatement>"
            )
        said = "".join(self.attribute_text(name, value) for name, value in self.attributes.items())
        return statement + (f"<saml:AttributeStatement>{said}</saml:AttributeStatement>" if said else "")

    def attribute_text(self, name: str, value: str | list[str]) -> str:
        values = [value] if isinstance(value, str) else value
        said = "".join(self.element("saml:AttributeValue", one) for one in values)
        return f"<saml:Attribute{attributes_of(Name=name, NameFormat=URI_FORMAT)}>{said}</saml:Attribute>"

    @staticmethod
    def element(tag: str, text: str | None, **attributes: str | None) -> str:
        return "" if text is None else f"<{tag}{attributes_of(**attributes)}>{escape(text)}</{tag}>"

    # --- Its signatures and its encryption

    def add_signature(self, element: Any) -> Any:
        """Sign an element of the tree with our key, the signature where the schema wants it: after its Issuer."""
        method = getattr(xmlsec.Transform, self.signature_method)
        signature = xmlsec.template.create(element, getattr(xmlsec.Transform, self.canonicalization), method, ns="ds")
        issuer = element.find("saml:Issuer", NS)
        element.insert(0 if issuer is None else element.index(issuer) + 1, signature)
        digest = getattr(xmlsec.Transform, self.digest_method)
        reference = xmlsec.template.add_reference(signature, digest, uri=f"#{element.get('ID')}")
        xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
        last = xmlsec.template.add_transform(reference, getattr(xmlsec.Transform, self.canonicalization))
        if self.inclusive_prefixes:
            xmlsec.template.transform_add_c14n_inclusive_namespaces(last, self.inclusive_prefixes)
        key = xmlsec.Key.from_memory(key_pem(self.key), xmlsec.KeyFormat.PEM)
        if self.embeds_certificate:
            xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
            key.load_cert_from_memory(certificate(self.key), xmlsec.KeyFormat.CERT_PEM)
        xmlsec.tree.add_ids(element, ["ID"])
        context = xmlsec.SignatureContext()
        context.key = key
        context.sign(signature)
        return signature

    def encrypt(self, root: Any, assertion: Any) -> None:
        """Put an EncryptedAssertion in the assertion's place."""
        plain = etree.tostring(assertion, with_tail=False)
        if self.inherits_namespaces:
            plain = re.sub(rb' xmlns:samlp?="[^"]*"', b"", plain)
        self.encrypt_bytes(root, assertion, plain)

    def encrypt_bytes(self, root: Any, assertion: Any, plain: bytes) -> None:
        """Put an EncryptedAssertion in the assertion's place that is of any bytes."""
        assert self.encrypt_for
        box = etree.Element(f"{{{NS['saml']}}}EncryptedAssertion")
        root.replace(assertion, box)
        template = xmlsec.template.encrypted_data_create(
            box, getattr(xmlsec.Transform, self.cipher), type=xmlsec.EncryptionType.ELEMENT, ns="xenc"
        )
        box.append(template)
        xmlsec.template.encrypted_data_ensure_cipher_value(template)
        key_info = xmlsec.template.encrypted_data_ensure_key_info(template, ns="ds")
        wrapped = xmlsec.template.add_encrypted_key(key_info, getattr(xmlsec.Transform, self.key_transport))
        xmlsec.template.encrypted_data_ensure_cipher_value(wrapped)
        manager = xmlsec.KeysManager()
        manager.add_key(xmlsec.Key.from_memory(self.encrypt_for, xmlsec.KeyFormat.CERT_PEM))
        context = xmlsec.EncryptionContext(manager)
        bits = int("".join(filter(str.isdigit, self.cipher.partition("_")[0])))
        context.key = xmlsec.Key.generate(xmlsec.KeyData.AES, bits, xmlsec.KeyDataType.SESSION)
        context.encrypt_binary(template, plain)


# --- Who says it


@dataclass(frozen=True)
class AuthnRequest:
    """What we asked: the parsed query of the address that the browser was sent to."""

    id: str
    issuer: str
    acs_url: str
    destination: str
    tree: Any
    query: dict[str, str]
    raw_query: str

    def is_signed_by(self, pem: str) -> bool:
        """Return whether the query's signature is of that certificate's key (SAML bindings 3.4.4.1, RSA-SHA256)."""
        parts = dict(part.split("=", 1) for part in self.raw_query.split("&"))
        if self.query.get("SigAlg") != "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256":
            return False
        names = ("SAMLRequest", "SAMLResponse", "RelayState", "SigAlg")
        signed = "&".join(f"{name}={parts[name]}" for name in names if name in parts)
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        try:
            signature = base64.b64decode(self.query["Signature"])
            key.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def parse_request(url: str) -> AuthnRequest:
    """Return the AuthnRequest in the address that a browser was sent to (HTTP-Redirect, SAML bindings 3.4.4.1)."""
    raw_query = urlsplit(url).query
    query = {name: values[0] for name, values in parse_qs(raw_query).items()}
    tree = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLRequest"]), -15))
    issuer = tree.findtext("saml:Issuer", namespaces=NS)
    places = [tree.get(name, "") for name in ("ID", "AssertionConsumerServiceURL", "Destination")]
    return AuthnRequest(places[0], issuer or "", places[1], places[2], tree, query, raw_query)


@dataclass
class SamlIdp:
    """One provider, for one workspace."""

    entity_id: str = "https://idp.acme.test/saml"
    key: str = "idp"
    sso_url: str = "https://idp.acme.test/sso"
    workspace: Workspace | None = None

    @property
    def certificate(self) -> str:
        return certificate(self.key)

    def configure(self, workspace: Workspace, domain: str = "", **fields: Any) -> IdentityProvider:
        """Store this provider as the workspace's, serving, and its domain (`acme.test` for acme) as proven."""
        self.workspace = workspace
        WorkspaceDomain.objects.get_or_create(
            workspace=workspace,
            domain=domain or f"{workspace.slug}.test",
            defaults={"is_primary": not domain, "verified_at": timezone.now(), "checked_at": timezone.now()},
        )
        usual = {"entity_id": self.entity_id, "sso_url": self.sso_url, "certificates": [self.certificate]}
        usual |= {"tested_at": timezone.now(), "state": IdentityProvider.State.SERVING}
        return IdentityProvider.objects.create(workspace=workspace, **{**usual, **fields})

    def respond(self, request: str | None, acs: str | None = None, audience: str | None = None, **lies: Any) -> str:
        """Return a SAMLResponse for the form. `request` is the address that the browser was sent to, or the ID of an
        AuthnRequest, or None where the provider begins. `acs` and `audience` are the request's, else the configured
        workspace's.
        """
        return base64.b64encode(self.message(request, acs, audience, **lies).build()).decode()

    def message(self, request: str | None, acs: str | None = None, audience: str | None = None, **lies: Any) -> Message:
        request_id = request
        if request is not None and "://" in request:
            asked = parse_request(request)
            request_id, acs, audience = asked.id, acs or asked.acs_url, audience or asked.issuer
        if self.workspace is not None:
            acs = acs or service_provider.acs_url(self.workspace)
            audience = audience or service_provider.entity_id(self.workspace)
        fields: dict[str, Any] = {
            "in_response_to": request_id,
            "destination": acs,
            "recipient": acs,
            "audiences": [[audience]],
            "issuer": self.entity_id,
            "response_issuer": self.entity_id,
            "key": self.key,
        }
        return Message(**{**fields, **lies})
