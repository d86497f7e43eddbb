"""What an identity provider of our own says about signing out, by HTTP-Redirect: really signed, and it can lie in every
way. Every field of `LogoutMessage` is such a way.
"""

import base64
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree
from rest_framework.test import APIClient

from accounts.models import Workspace
from sso.models import SamlAttempt, SamlSession
from sso.saml import service_provider
from tests.support.saml_idp import (
    EMAIL_FORMAT,
    NS,
    SUCCESS,
    AuthnRequest,
    Message,
    SamlIdp,
    Time,
    attributes_of,
    instant,
    new_id,
    parse_request,
    private_key,
)

DSIG_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
RSA_SHA256 = f"{DSIG_MORE}rsa-sha256"
RSA_SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
SLO = "/api/v1/auth/saml/acme/slo"
HASHES = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}  # noqa: S303


@dataclass
class LogoutMessage:
    """One LogoutRequest or LogoutResponse in the query of an address. What is None is not in it."""

    kind: str
    issuer: str | None
    destination: str | None
    key: str = "idp"
    id: str | None = field(default_factory=new_id)
    version: str | None = "2.0"
    issued: Time = 0
    not_on_or_after: Time = 300
    name_id: str | None = "bob@acme.test"
    name_id_format: str | None = EMAIL_FORMAT
    name_qualifier: str | None = None
    session_indexes: list[str] = field(default_factory=list)
    in_response_to: str | None = None
    status: str | None = SUCCESS
    inside: str = ""  # more XML, behind everything else
    rewrite: Callable[[bytes], bytes] | None = None  # of the document, before it is deflated
    pack: Callable[[bytes], bytes] | None = None  # instead of deflating
    relay_state: str | None = None
    algorithm: str | None = RSA_SHA256
    hash: str = ""  # what is really hashed with, where that is not what `algorithm` says
    signature: Callable[[bytes], bytes] | None = None  # of the signature's bytes
    escape: Callable[[str], str] = lambda text: quote(text, safe="")
    bend: Callable[[dict[str, str]], Any] | None = None  # of the parts of the query, after signing

    def document(self) -> bytes:
        is_request = self.kind == "LogoutRequest"
        head = attributes_of(
            ID=self.id,
            Version=self.version,
            IssueInstant=instant(self.issued),
            Destination=self.destination,
            NotOnOrAfter=instant(self.not_on_or_after) if is_request else None,
            InResponseTo=self.in_response_to,
        )
        body = Message.element("saml:Issuer", self.issuer)
        if is_request:
            of_name = {"Format": self.name_id_format, "SPNameQualifier": self.name_qualifier}
            body += Message.element("saml:NameID", self.name_id, **of_name)
            body += "".join(Message.element("samlp:SessionIndex", index) for index in self.session_indexes)
        else:
            body += f"<samlp:Status><samlp:StatusCode{attributes_of(Value=self.status)}/></samlp:Status>"
        spaces = f'xmlns:samlp="{NS["samlp"]}" xmlns:saml="{NS["saml"]}"'
        raw = f"<samlp:{self.kind} {spaces}{head}>{body}{self.inside}</samlp:{self.kind}>".encode()
        return self.rewrite(raw) if self.rewrite else raw

    def query(self) -> str:
        """Return the query as the provider sends it, each value spelt by `escape` and signed so."""
        packed = (self.pack or deflate)(self.document())
        name = "SAMLRequest" if self.kind == "LogoutRequest" else "SAMLResponse"
        parts = {name: self.escape(base64.b64encode(packed).decode())}
        if self.relay_state is not None:
            parts["RelayState"] = self.escape(self.relay_state)
        if self.algorithm is not None:
            parts["SigAlg"] = self.escape(self.algorithm)
            signature = self.sign(joined(parts).encode())
            signature = self.signature(signature) if self.signature else signature
            parts["Signature"] = self.escape(base64.b64encode(signature).decode())
        bent = self.bend(parts) if self.bend else None
        return bent if isinstance(bent, str) else joined(parts)

    def sign(self, octets: bytes) -> bytes:
        algorithm = HASHES[self.hash or (self.algorithm or "").rpartition("-")[2]]
        key = private_key(self.key)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(algorithm)))
            return r.to_bytes(32) + s.to_bytes(32)
        signature: bytes = key.sign(octets, padding.PKCS1v15(), algorithm)
        return signature


def deflate(document: bytes) -> bytes:
    return zlib.compress(document)[2:-4]


def joined(parts: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in parts.items())


def logout_request(idp: SamlIdp, workspace: Workspace | None = None, **lies: Any) -> str:
    """Return the query of a LogoutRequest of this provider, for the configured workspace."""
    return _message("LogoutRequest", idp, workspace, lies).query()


def logout_response(idp: SamlIdp, asked: str, **lies: Any) -> str:
    """Return the query of the answer to the LogoutRequest in an address that we sent a browser to."""
    return _message("LogoutResponse", idp, None, {"in_response_to": parse_request(asked).id, **lies}).query()


def _message(kind: str, idp: SamlIdp, workspace: Workspace | None, lies: dict[str, Any]) -> LogoutMessage:
    at = workspace or idp.workspace
    assert at
    usual = {"issuer": idp.entity_id, "destination": service_provider.slo_url(at), "key": idp.key}
    return LogoutMessage(**{"kind": kind, **usual, **lies})


def bring(query: str, slug: str = "acme", browser: APIClient | None = None) -> Any:
    """Let a browser come with a message of the provider, to the byte."""
    client = browser or APIClient()
    return client.get(f"/api/v1/auth/saml/{slug}/slo", QUERY_STRING=query)


def parse_response(url: str) -> AuthnRequest:
    """Return the LogoutResponse in the address that a browser was sent to; `is_signed_by` looks at its query."""
    query = urlsplit(url).query
    parsed = parse_request(re.sub(r"\bSAMLResponse=", "SAMLRequest=", url, count=1))
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    return AuthnRequest(parsed.id, parsed.issuer, "", parsed.destination, parsed.tree, fields, query)


def status_of(tree: Any) -> str:
    [code] = tree.iterfind("samlp:Status/samlp:StatusCode", NS)
    return str(code.get("Value"))


def refused_logout(response: Any) -> str:
    """Return the check that failed, of a message that was answered with a generic sentence and a reference alone."""
    assert response.status_code == 400, (response.status_code, response.content)
    body = response.json()
    assert body.keys() == {"detail", "error_code", "reference"} and body["error_code"] == "logout_refused", body
    assert "Location" not in response and not response.cookies
    attempt = SamlAttempt.objects.get(reference=body["reference"])
    assert not attempt.succeeded and attempt.provider is None
    return attempt.failed_check


def index_of(sign_in_id: Any) -> str:
    return SamlSession.objects.get(sign_in_id=sign_in_id).session_index


def as_xml(url: str) -> str:
    return etree.tostring(parse_request(url).tree).decode()
