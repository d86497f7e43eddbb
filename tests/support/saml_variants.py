"""Honest answers in the shapes that identity providers really send, which must all sign in."""

import base64
import re
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from tests.support.saml_attacks import ENTITY, Scene, child
from tests.support.saml_idp import NS, certificate

SAML, SAMLP, DS = (f"{{{NS[prefix]}}}" for prefix in ("saml", "samlp", "ds"))
XS, XSI = "http://www.w3.org/2001/XMLSchema", "http://www.w3.org/2001/XMLSchema-instance"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"


@dataclass(frozen=True)
class Variant:
    """What the provider says (or a hook that makes it of the scene), and how the connection is configured."""

    said: dict[str, Any] = field(default_factory=dict)
    connection: dict[str, Any] = field(default_factory=dict)
    encrypted: bool = False
    folded: bool = False  # base64 in lines

    def make(self, scene: Scene) -> str:
        lies = {"name_id": "bob@acme.test", **self.said}
        if self.encrypted:
            lies["encrypt_for"] = scene.sp_certificate
        answer = scene.say(**lies)
        return base64.encodebytes(base64.b64decode(answer)).decode().replace("\n", "\r\n") if self.folded else answer


def respelt(*pairs: tuple[str, str]) -> Any:
    """Return an edit of the unsigned document's text."""

    def edit(root: Any) -> Any:
        text = etree.tostring(root).decode()
        for pattern, new in pairs:
            text = re.sub(pattern, new, text)
        return etree.fromstring(text)

    return edit


with_saml2_prefixes = respelt((r"(</?|xmlns:)saml([:=])", r"\1saml2\2"), (r"(</?|xmlns:)samlp([:=])", r"\1saml2p\2"))


def entra(root: Any) -> Any:
    """Return the assertion without prefixes."""
    text = etree.tostring(root).decode()
    text = re.sub(r"<(/?)saml:", r"<\1", text)
    text = text.replace("<Assertion ", f'<Assertion xmlns="{NS["saml"]}" ', 1)
    text = text.replace("<Issuer>", f'<Issuer xmlns="{NS["saml"]}">', 1)
    return etree.fromstring(re.sub(r' xmlns:saml="[^"]*"', "", text))


def typed(place: str) -> Any:
    """Return an edit: values of the type xs:string, whose prefix is declared on the elements of that name."""

    def edit(root: Any) -> Any:
        text = etree.tostring(root).decode()
        text = text.replace("<saml:AttributeValue>", f'<saml:AttributeValue xmlns:xsi="{XSI}" xsi:type="xs:string">')
        return etree.fromstring(text.replace(f"<{place} ", f'<{place} xmlns:xs="{XS}" '))

    return edit


def indented(root: Any) -> Any:
    etree.indent(root, "    ")
    for leaf in root.iter():
        if not len(leaf) and leaf.text and not leaf.text.strip():
            leaf.text = None
    return root


def fractions(digits: int) -> Any:
    """Return an edit: every time with parts of seconds."""
    return respelt((r"(\d\d:\d\d:\d\d)Z", rf"\g<1>.{'1234567890'[:digits]}Z"))


def keycloak(root: Any) -> None:
    statement = child(root.find("saml:Assertion", NS), f"{SAML}AttributeStatement")
    for role in ("offline_access", "uma_authorization", "manage-account"):
        child(child(statement, f"{SAML}Attribute", Name="Role", FriendlyName="role"), f"{SAML}AttributeValue", role)


def targeted_id(root: Any) -> None:
    statement = child(root.find("saml:Assertion", NS), f"{SAML}AttributeStatement")
    attribute = child(statement, f"{SAML}Attribute", Name="urn:oid:1.3.6.1.4.1.5923.1.1.1.10")
    child(child(attribute, f"{SAML}AttributeValue"), f"{SAML}NameID", "opaque", Format=PERSISTENT)


def with_conditions(*tags: str) -> Any:
    def edit(root: Any) -> None:
        for tag in tags:
            child(root.find("saml:Assertion/saml:Conditions", NS), f"{SAML}{tag}")

    return edit


def for_us(root: Any) -> None:
    root.find("saml:Assertion/saml:Subject/saml:NameID", NS).set("SPNameQualifier", ENTITY)


def status_message(root: Any) -> None:
    child(root.find("samlp:Status", NS), f"{SAMLP}StatusMessage", "Welcome")


def authority(root: Any) -> None:
    statement = root.find("saml:Assertion/saml:AuthnStatement", NS)
    statement.insert(0, etree.Element(f"{SAML}SubjectLocality", Address="192.0.2.7"))
    child(statement.find("saml:AuthnContext", NS), f"{SAML}AuthenticatingAuthority", "https://upstream.test")


def issuer_format(root: Any) -> None:
    for issuer in root.iter(f"{SAML}Issuer"):
        issuer.set("Format", "urn:oasis:names:tc:SAML:2.0:nameid-format:entity")


def subject_name(root: Any) -> None:
    for data in root.iter(f"{DS}X509Data"):
        name = etree.Element(f"{DS}X509SubjectName")
        name.text = "CN=Google,OU=Google For Work"
        data.insert(0, name)


def okta(root: Any) -> Any:
    issuer_format(root)
    return with_saml2_prefixes(typed("saml:Assertion")(root))


def declared(raw: bytes) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>' + raw


WHO = {"email": "bob@acme.test", "firstName": "Bob", "lastName": "Builder"}
FIVE_MINUTES = {"not_before": -300, "not_on_or_after": 300, "confirmation_not_on_or_after": 300}
HOUR = {"not_before": -300, "not_on_or_after": 3600, "confirmation_not_on_or_after": 3600}

IDP_CERTIFICATE = certificate("idp")

VARIANTS: dict[str, Variant] = {
    "signed-assertion": Variant({"sign": "assertion"}),
    "signed-response": Variant({"sign": "response"}),
    "signed-both": Variant({"sign": "both"}),
    "signed-without_certificate": Variant({"embeds_certificate": False}),
    **{
        f"algorithm-{kind.lower()}_{bits}": Variant(
            {"signature_method": f"{kind}_SHA{bits}", "digest_method": f"SHA{bits}", "sign": "both", "key": key},
            {"certificates": [certificate(key)]},
        )
        for kind, key in (("RSA", "idp"), ("ECDSA", "ec-idp"))
        for bits in (256, 384, 512)
    },
    **{
        f"encrypted-{cipher.lower()}_signed_{sign}": Variant({"cipher": cipher, "sign": sign}, encrypted=True)
        for cipher in ("AES128", "AES192", "AES256", "AES128_GCM", "AES192_GCM", "AES256_GCM")
        for sign in ("assertion", "response", "both")
    },
    "encrypted-required": Variant({}, {"requires_encryption": True}, encrypted=True),
    "encrypted-with_the_namespaces_around_it": Variant({"inherits_namespaces": True, "sign": "both"}, encrypted=True),
    "encrypted-in_lines": Variant({"edit": indented}, encrypted=True, folded=True),
    "encrypted-at_the_end": Variant({"confirmation_not_on_or_after": -100, "not_on_or_after": -100}, encrypted=True),
    "certificates-new_beside_old": Variant({}, {"certificates": [certificate("old"), certificate("idp")]}),
    "certificates-old_beside_new": Variant({}, {"certificates": [certificate("idp"), certificate("new")]}),
    "certificates-ten": Variant(
        {}, {"certificates": [*[certificate(f"ec-{n}") for n in range(9)], certificate("idp")]}
    ),
    "certificates-expired": Variant({}, {"certificates": [certificate("idp", -10)]}),
    "certificates-of_two_kinds": Variant(
        {"sign": "both"}, {"certificates": [certificate("ec-idp"), certificate("idp")]}
    ),
    "spelling-declared": Variant({"rewrite": declared}),
    "spelling-declared_with_single_quotes": Variant(
        {"rewrite": lambda raw: b"<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n" + raw}
    ),
    "spelling-indented": Variant({"edit": indented, "sign": "both"}),
    "spelling-blank_behind_the_root": Variant({"rewrite": lambda raw: raw + b"\r\n"}),
    "spelling-saml2_prefixes": Variant({"edit": with_saml2_prefixes, "sign": "both"}),
    "spelling-no_prefixes": Variant({"edit": entra, "sign": "both"}),
    "spelling-base64_in_lines": Variant({}, folded=True),
    "spelling-typed_values": Variant({"attributes": WHO, "edit": typed("saml:AttributeValue")}),
    "spelling-prefix_list": Variant(
        {"attributes": WHO, "edit": typed("saml:Assertion"), "inclusive_prefixes": ["xs"], "sign": "both"}
    ),
    "spelling-prefix_list_of_the_response": Variant(
        {"attributes": WHO, "edit": typed("samlp:Response"), "inclusive_prefixes": ["xs"], "sign": "both"}
    ),
    "spelling-prefix_list_and_default": Variant(
        {"attributes": WHO, "edit": typed("samlp:Response"), "inclusive_prefixes": ["xs", "#default"]}
    ),
    "spelling-prefix_list_of_none": Variant({"inclusive_prefixes": ["unknown"], "sign": "both"}),
    "spelling-id_on_the_signature": Variant(
        {"edit_signed": lambda root: root.find(".//ds:Signature", NS).set("Id", "_signature")}
    ),
    "provider-okta": Variant(
        {
            "attributes": WHO,
            "edit": okta,
            "sign": "both",
            "inclusive_prefixes": ["xs"],
            "rewrite": declared,
            **FIVE_MINUTES,
        }
        | {"name_id_format": UNSPECIFIED},
        {"attribute_mapping": {"email": "email", "first_name": "firstName", "last_name": "lastName"}},
    ),
    "provider-entra": Variant(
        {
            "attributes": {f"{CLAIMS}emailaddress": "bob@acme.test", f"{CLAIMS}givenname": "Bob"},
            "edit": lambda root: fractions(3)(entra(root)),
            "name_id": "kPVnzcQ8lQd8nJbBlG2mfQ",
            "name_id_format": PERSISTENT,
            **HOUR,
        },
        {"attribute_mapping": {"email": f"{CLAIMS}emailaddress"}},
    ),
    "provider-entra_encrypted": Variant({"edit": entra, **HOUR}, encrypted=True),
    "provider-onelogin": Variant(
        {"attributes": {"User.email": "bob@acme.test"}, "edit": typed("samlp:Response"), "inclusive_prefixes": ["xs"]}
        | {"sign": "response", "session_not_on_or_after": 86_400, "not_before": -180, "not_on_or_after": 180}
    ),
    "provider-google": Variant(
        {
            "edit": with_saml2_prefixes,
            "sign": "response",
            "edit_signed": subject_name,
            "rewrite": declared,
            **FIVE_MINUTES,
        }
        | {"attributes": {"email": ["bob@acme.test"], "groups": ["a", "b"]}}
    ),
    "provider-adfs": Variant({"not_on_or_after": 3600, "not_before": 0, "edit": fractions(3), "sign": "assertion"}),
    "provider-keycloak": Variant({"edit": keycloak, "sign": "both", "confirmation_not_on_or_after": 60}),
    "provider-simplesamlphp": Variant({"edit": for_us, "sign": "both", "session_not_on_or_after": 28_800}),
    "times-just_ended": Variant({"not_on_or_after": -100, "confirmation_not_on_or_after": -100, "not_before": -600}),
    "times-not_yet_begun": Variant({"not_before": 100, "confirmation_not_before": 100, "issued": 100}),
    "times-longest": Variant({"not_before": -600, "not_on_or_after": 3600, "confirmation_not_on_or_after": 3600}),
    "times-no_beginning": Variant({"not_before": None}),
    "times-seven_digits": Variant({"edit": fractions(7)}),
    "audience-one_of_two": Variant({"audiences": [["https://other.test", ENTITY]]}),
    "audience-two_restrictions": Variant({"audiences": [[ENTITY], ["https://other.test", ENTITY]]}),
    "conditions-one_time_use": Variant({"edit": with_conditions("OneTimeUse", "ProxyRestriction")}),
    "name_id-no_format": Variant({"name_id_format": None}),
    "name_id-opaque": Variant(
        {"name_id": "AAdzZWNyZXQx+/=", "name_id_format": PERSISTENT, "attributes": {"mail": "bob@acme.test"}},
        {"attribute_mapping": {"email": "mail"}},
    ),
    "name_id-longest": Variant(
        {"name_id": "x" * 254, "name_id_format": PERSISTENT, "attributes": {"mail": "bob@acme.test"}},
        {"attribute_mapping": {"email": "mail"}},
    ),
    "name_id-other_letters": Variant(
        {"name_id": "ďábel&<žluť>'\"", "name_id_format": PERSISTENT, "attributes": {"mail": "bob@acme.test"}},
        {"attribute_mapping": {"email": "mail"}},
    ),
    "name_id-in_capitals": Variant({"name_id": "Bob@ACME.test"}),
    "issuer-on_the_assertion_alone": Variant({"response_issuer": None}),
    "issuer-with_its_format": Variant({"edit": issuer_format}),
    "status-with_a_message": Variant({"edit": status_message}),
    "statement-without_session": Variant({"session_index": None}),
    "statement-with_authority": Variant({"edit": authority}),
    "attributes-many_groups": Variant({"attributes": {"groups": [f"group {n}" for n in range(1000)]}}),
    "attributes-empty": Variant({"attributes": {"nickname": "", "city": " "}}),
    "attributes-targeted_id": Variant({"edit": targeted_id}),
}
