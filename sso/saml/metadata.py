"""SAML metadata, both ways: ours for an identity provider, and an identity provider's for us (SAML metadata 2.4)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils import timezone
from lxml import etree

from accounts.models import Workspace
from sso.models import IdentityProvider
from sso.saml import service_provider
from sso.saml.certificates import MAX_CERTIFICATES, UnusableCertificate, read_base64, unique
from sso.saml.keys import get_certificate, signing_certificates

MD = "urn:oasis:names:tc:SAML:2.0:metadata"
DS = "http://www.w3.org/2000/09/xmldsig#"
PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
# RSA-OAEP with AES-GCM is what we decrypt (SA-23); who reads this list does not use the older ones.
ENCRYPTION = ("http://www.w3.org/2009/xmlenc11#aes256-gcm", "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p")
NAME_ID_FORMATS = (
    "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
)

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_ELEMENTS = 20_000


class UnusableMetadata(ValueError):
    """A sentence that says what is wrong with an identity provider's metadata, and what to do."""


@dataclass(frozen=True)
class ProviderMetadata:
    """What an identity provider's metadata says that we use. The addresses are as it gives them, still unjudged."""

    entity_id: str
    sso_url: str
    slo_url: str  # empty where it offers none by redirect
    certificates: list[str]  # PEM
    left_out: str  # what is wrong with those that cannot be used; or empty


def service_provider_metadata(workspace: Workspace, providers: Iterable[IdentityProvider]) -> bytes:
    """Return our metadata for a workspace's identity providers, in XML: its serving connection and the staged one.

    The signing certificate is there where one of them has us sign requests or logouts, while keys change the next or
    the former one too; the encryption certificate where one of them must encrypt: so who stages encryption can fetch it
    before it is demanded of anybody.
    """
    connections = list(providers)
    root = etree.Element(_md("EntityDescriptor"), nsmap={"md": MD, "ds": DS})
    root.set("entityID", service_provider.entity_id(workspace))
    role = etree.SubElement(root, _md("SPSSODescriptor"))
    role.set("AuthnRequestsSigned", "true" if any(each.signs_requests for each in connections) else "false")
    role.set("WantAssertionsSigned", "true")
    role.set("protocolSupportEnumeration", PROTOCOL)
    if any(each.signs_requests or each.slo_url for each in connections):
        for certificate in signing_certificates(workspace):
            _add_key(role, "signing", certificate)
    if any(each.requires_encryption for each in connections):
        _add_key(role, "encryption", get_certificate(workspace))
    etree.SubElement(role, _md("SingleLogoutService"), Binding=REDIRECT, Location=service_provider.slo_url(workspace))
    for name_format in NAME_ID_FORMATS:
        etree.SubElement(role, _md("NameIDFormat")).text = name_format
    consumer = etree.SubElement(role, _md("AssertionConsumerService"), Binding=POST)
    consumer.set("Location", service_provider.acs_url(workspace))
    consumer.set("index", "0")
    consumer.set("isDefault", "true")
    return etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)


def _md(name: str) -> str:
    return f"{{{MD}}}{name}"


def _ds(name: str) -> str:
    return f"{{{DS}}}{name}"


def _add_key(role: etree._Element, use: str, certificate: str) -> None:
    descriptor = etree.SubElement(role, _md("KeyDescriptor"), use=use)
    data = etree.SubElement(etree.SubElement(descriptor, _ds("KeyInfo")), _ds("X509Data"))
    lines = certificate.strip().splitlines()
    etree.SubElement(data, _ds("X509Certificate")).text = "".join(lines[1:-1])
    if use == "encryption":
        for algorithm in ENCRYPTION:
            etree.SubElement(descriptor, _md("EncryptionMethod"), Algorithm=algorithm)


def read_provider_metadata(xml: bytes) -> ProviderMetadata:
    """Return what an identity provider's metadata says. Raises `UnusableMetadata` for anything that is not the
    metadata of exactly one, with SAML 2.0, sign-in by HTTP-Redirect, a strong certificate, and not expired.

    A certificate that cannot be used beside one that can is left out: the provider signs with the other one.
    """
    entity, role = _find_provider(_parse(xml))
    if PROTOCOL not in role.get("protocolSupportEnumeration", "").split():
        raise UnusableMetadata("This identity provider does not offer SAML 2.0; switch it on there.")
    certificates, problems = _signing_certificates(role)
    return ProviderMetadata(
        entity_id=entity.get("entityID", ""),
        sso_url=_location(role, "SingleSignOnService") or _refuse_without_redirect(role),
        slo_url=_location(role, "SingleLogoutService"),
        certificates=certificates,
        left_out=_left_out(problems),
    )


def _parse(xml: bytes) -> etree._Element:
    """Return the root of a document that holds nothing but elements, attributes and text, in UTF-8."""
    if len(xml) > MAX_BYTES:
        raise UnusableMetadata("Metadata may have at most 1 MiB. Export that of your identity provider alone.")
    try:
        text = xml.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UnusableMetadata("Metadata must be in UTF-8.") from None
    if "<!" in text.replace("<!--", ""):
        raise UnusableMetadata("Metadata must not hold a document type, entities or CDATA.")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        raise UnusableMetadata("This is not XML; send the metadata file of the identity provider as it is.") from None
    _refuse_large(root)
    return root


def _refuse_large(root: etree._Element) -> None:
    elements = depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        elements += event == "start"
        if elements > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise UnusableMetadata("This metadata has too many elements. Export that of your identity provider alone.")


def _find_provider(root: etree._Element) -> tuple[etree._Element, etree._Element]:
    """Return the one identity provider's EntityDescriptor and its IDPSSODescriptor."""
    found = [(entity, role) for entity in _entities(root) for role in entity.findall(_md("IDPSSODescriptor"))]
    if not found:
        raise UnusableMetadata("No identity provider is described here. Send the metadata of an IdP, not of an SP.")
    if len(found) > 1:
        raise UnusableMetadata("Several identity providers are described here. Send the metadata of yours alone.")
    [(entity, role)] = found
    for element in (role, *role.iterancestors()):
        _refuse_expired(element)
    return entity, role


def _entities(element: etree._Element) -> Iterator[etree._Element]:
    if element.tag == _md("EntityDescriptor"):
        yield element
    elif element.tag == _md("EntitiesDescriptor"):
        for child in element:
            yield from _entities(child)


def _refuse_expired(element: etree._Element) -> None:
    """Raise where `validUntil` (SAML metadata 2.3.1) has passed or is no moment."""
    text = element.get("validUntil")
    if text is None:
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UnusableMetadata("The metadata's validUntil is not a time.") from None
    if (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= timezone.now():
        raise UnusableMetadata("This metadata has expired (validUntil). Fetch the current one.")


def _location(role: etree._Element, name: str) -> str:
    """Return where a service is reached by HTTP-Redirect, or nothing."""
    return next((each.get("Location", "") for each in role.findall(_md(name)) if each.get("Binding") == REDIRECT), "")


def _refuse_without_redirect(role: etree._Element) -> str:
    offered = {each.get("Binding", "").rpartition(":")[2] for each in role.findall(_md("SingleSignOnService"))}
    others = " Only HTTP-POST is." if offered == {"HTTP-POST"} else ""
    raise UnusableMetadata(
        f"Sign-in by the HTTP-Redirect binding is not offered by this identity provider.{others} Switch it on there."
    )


def _left_out(problems: list[str]) -> str:
    if not problems:
        return ""
    how_many = "1 of its certificates was" if len(problems) == 1 else f"{len(problems)} of its certificates were"
    return f"{how_many} left out: {problems[0]}"


def _signing_certificates(role: etree._Element) -> tuple[list[str], list[str]]:
    """Return the certificates of every key that signs (SAML metadata 2.4.1.1: also one without a use), and what is
    wrong with those that cannot be used.

    Of each X509Data the first counts: what follows is the chain above it, which signs no assertion.
    """
    texts = []
    for descriptor in role.findall(_md("KeyDescriptor")):
        if descriptor.get("use", "signing") == "signing":
            for data in descriptor.findall(f"{_ds('KeyInfo')}/{_ds('X509Data')}"):
                first = data.find(_ds("X509Certificate"))
                texts += [] if first is None else [first.text or ""]
    if len(texts) > MAX_CERTIFICATES:
        raise UnusableMetadata(f"The metadata has more than {MAX_CERTIFICATES} signing certificates.")
    certificates, problems = [], []
    for text in texts:
        try:
            certificates.append(read_base64(text))
        except UnusableCertificate as problem:
            problems.append(str(problem))
    if not certificates:
        raise UnusableMetadata(problems[0] if problems else "The metadata names no certificate to sign with.")
    return unique(certificates), problems
