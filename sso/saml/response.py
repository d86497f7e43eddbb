"""The judgement over an identity provider's answer. Nothing here knows of users, rows or replay: that is for whoever
asks (sso/saml_sign_in.py).
"""

from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from spatialflow import clock
from sso.models import IdentityProvider
from sso.saml import checks, signature
from sso.saml.checks import SKEW, UNSPECIFIED, Answer, read_time, shifted, shown, spelt
from sso.saml.decryption import decrypted
from sso.saml.guard import NS, ForbiddenAlgorithm, Refused, decode, inspect, parse
from sso.saml.keys import State, decryption_keys
from sso.saml.service_provider import acs_url
from sso.saml.settings import place, settings_for
from sso.saml.signature import BadSignature, signed_content
from sso.saml.verdict import FOR_THE_FORMER, Assertion, Check, Verdict

WELL_FORMED = "base64 of XML in UTF-8, at most 256 kB"
WELL_BUILT = "a Response with one assertion, each element in its place"
STRONG = "RSA or ECDSA with SHA-256, SHA-384 or SHA-512"
MAX_CLAIMED = 1024


@dataclass(frozen=True)
class Names:
    """What a message claims, unverified: good for finding our rows, and for nothing else."""

    in_response_to: str
    issuer: str


def unverified_names(encoded: str) -> Names:
    """Return the request and the issuer that a message claims, each empty where it cannot be read. Never raises."""
    try:
        root = parse(decode(encoded))
    except Refused:
        return Names("", "")
    claimed = root.get("InResponseTo", ""), root.findtext("saml:Issuer", None, NS)
    issuer = claimed[1] if claimed[1] is not None else root.findtext("saml:Assertion/saml:Issuer", "", NS)
    return Names(claimed[0][:MAX_CLAIMED], issuer[:MAX_CLAIMED])


def judge(
    encoded: str, provider: IdentityProvider, request_id: str | None, login_after: datetime | None = None
) -> Verdict:
    """Return every check of a posted SAMLResponse, and what it says where all of them passed.

    `request_id` is the AuthnRequest's ID as it was sent, underscore included; None where the provider began, and then
    nothing may claim to be an answer. `login_after` is when it was made, where it has forced a login. Never raises for
    what a document says, and writes nothing of it anywhere.
    """
    made: list[Check] = []
    try:
        root = _read(encoded, made)
        answer, clear = _open(root, provider, made, request_id, login_after)
    except Refused:
        return Verdict(made)
    made += checks.all_of(answer)
    if all(check.passed for check in made):
        made.append(_second_opinion(encoded, answer, clear))
    return Verdict(made, _assertion(answer) if all(check.passed for check in made) else None)


def _read(encoded: str, made: list[Check]) -> Any:
    """Return the root of a document that has passed the guard. Raises Refused, with the reason among the checks."""
    name, expected = "encoding", WELL_FORMED
    try:
        root = parse(decode(encoded))
        made.append(Check(name, True, expected))
        name, expected = "structure", WELL_BUILT
        inspect(root)
        status = checks.status(root)
        if (
            status.passed
            and root.find("saml:Assertion", NS) is None
            and root.find("saml:EncryptedAssertion", NS) is None
        ):
            raise Refused("no assertion")
    except ForbiddenAlgorithm as reason:
        made.append(Check("signature", False, STRONG, shown(str(reason))))
        raise
    except Refused as reason:
        made.append(Check(name, False, expected, shown(str(reason))))
        if name == "structure":
            made.append(checks.status(root))  # why a provider signed nobody in can come in a shape that is not ours
        raise
    made += [Check(name, True, expected), status]
    if not status.passed:
        raise Refused("nobody was signed in")
    return root


def _open(
    root: Any, provider: IdentityProvider, made: list[Check], request_id: str | None, login_after: datetime | None
) -> tuple[Answer, Any]:
    """Return response and assertion as the signatures cover them, where one does not hold as they are claimed; and the
    document with the assertion in the clear.

    Each signature that is there must hold, and one must be there. A response whose own signature does not is not
    decrypted: nobody shall try our key with what they made up. Raises Refused, with the reason among the checks.
    """
    certificates = provider.certificates
    is_encrypted = root.find("saml:EncryptedAssertion", NS) is not None
    clear, holds = root, True
    try:
        response = signed_content(root, certificates)
    except BadSignature:
        response, holds = None, False
    if is_encrypted and holds:
        clear = _decrypt(root, provider, made)
    elif is_encrypted:
        made.append(signature.check([root], False, certificates))
        raise Refused("an outer signature that does not hold")
    else:
        wanted = provider.requires_encryption
        made.append(Check("encryption", not wanted, "an encrypted assertion" if wanted else "", "not encrypted"))
    plain = clear.find("saml:Assertion", NS)
    try:
        assertion = signed_content(plain, certificates)
    except BadSignature:
        assertion, holds = None, False
    holds = holds and (response is not None or assertion is not None)
    made.append(signature.check([root, plain], holds, certificates))
    if assertion is None:
        assertion = plain if response is None or is_encrypted else response.find("saml:Assertion", NS)
    said = root if response is None else response
    return Answer(said, assertion, provider, request_id, login_after, clock.now()), clear


def _decrypt(root: Any, provider: IdentityProvider, made: list[Check]) -> Any:
    expected = "an assertion encrypted for our certificate"
    try:
        clear, key = decrypted(root, decryption_keys(provider.workspace))
    except Refused as reason:
        made.append(Check("encryption", False, expected, shown(str(reason))))
        raise
    made.append(Check("encryption", True, expected, FOR_THE_FORMER if key == State.FORMER else "encrypted"))
    return clear


class _Opinion(OneLogin_Saml2_Response):
    """python3-saml's judgement, with our tolerance for clocks where it has none, at confirmation and session, and with
    our decryption: its own gives what is signed other prefixes where they are not those of the elements around it.
    """

    def __init__(self, settings: OneLogin_Saml2_Settings, encoded: str, clear: Any) -> None:
        self._clear = clear
        super().__init__(settings, encoded)

    def _decrypt_assertion(self, _xml: Any) -> Any:
        return deepcopy(self._clear)

    def _query_assertion(self, xpath_expr: str) -> list[Any]:
        found = super()._query_assertion(xpath_expr)
        if xpath_expr == "/saml:Subject/saml:SubjectConfirmation":
            return [_shifted(confirmation) for confirmation in found]
        return found

    def get_session_not_on_or_after(self) -> int | None:
        ends: int | None = super().get_session_not_on_or_after()
        return None if ends is None else ends + SKEW.seconds


def _shifted(confirmation: Any) -> Any:
    """Return a copy of a confirmation whose times are later and earlier by SKEW."""
    copy = deepcopy(confirmation)
    for data in copy.xpath("saml:SubjectConfirmationData", namespaces=NS):
        for name, shift in (("NotBefore", -SKEW), ("NotOnOrAfter", SKEW)):
            time = read_time(data.get(name))
            if time is not None:
                data.set(name, spelt(shifted(time, shift)))
    return copy


def _second_opinion(encoded: str, answer: Answer, clear: Any) -> Check:
    """Return whether python3-saml, strict, finds the same person in the same message."""
    provider = answer.provider
    try:
        opinion = _Opinion(settings_for(provider), encoded, clear)
        agrees = bool(opinion.is_valid(place(acs_url(provider.workspace)), answer.request_id)) and (
            opinion.get_assertion_id() == answer.assertion.get("ID") and opinion.get_nameid() == answer.name_id.text
        )
        problem = opinion.get_error() or "another person"
    except Exception as error:  # noqa: BLE001 - the library raises what it likes
        agrees, problem = False, type(error).__name__
    return Check("library", agrees, "the same judgement by python3-saml", "the same" if agrees else shown(problem))


def _assertion(answer: Answer) -> Assertion:
    """Return what an assertion says, after every check of it has passed."""
    statement = answer.assertion.find("saml:AuthnStatement", NS)
    qualifier = answer.name_id.get("NameQualifier", "")
    ends = [read_time(element.get("NotOnOrAfter")) for element in (answer.conditions, answer.confirmation)]
    return Assertion(
        id=answer.assertion.get("ID"),
        name_id=answer.name_id.text,
        name_id_format=answer.name_id.get("Format", UNSPECIFIED),
        name_qualifier="" if qualifier == answer.provider.entity_id else qualifier,
        session_index=statement.get("SessionIndex", ""),
        attributes=_attributes(answer.assertion),
        in_response_to=answer.request_id or "",
        logged_in_at=read_time(statement.get("AuthnInstant")) or answer.now,
        # A second longer than it could pass, for the parts of seconds that are not read.
        expires_at=min(end for end in ends if end is not None) + SKEW + timedelta(seconds=1),
        session_ends_at=read_time(statement.get("SessionNotOnOrAfter")),
    )


def _attributes(assertion: Any) -> dict[str, list[str]]:
    """Return the texts of each attribute by its Name, or FriendlyName where it has none (SAML core 2.7.3.1).

    An attribute that is there twice has the values of both: some providers spell a list so. Whoever wants one value
    must look whether there are more.
    """
    attributes: dict[str, list[str]] = {}
    for attribute in assertion.iterfind("saml:AttributeStatement/saml:Attribute", NS):
        name = attribute.get("Name") or attribute.get("FriendlyName") or ""
        values = attributes.setdefault(name, [])
        for value in attribute.iterfind("saml:AttributeValue", NS):
            if value.text and value.text.strip() and not len(value):
                values.append(value.text)
    return attributes
