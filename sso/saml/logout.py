"""Single logout (SAML core 3.7, profiles 4.4): what we say to an identity provider, and the judgement over what
it says.

The only place where python3-saml's logout classes are used. Nothing here knows of sign-ins or replay: that is for
whoever asks (sso/single_logout.py).
"""

import unicodedata
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lxml import etree
from onelogin.saml2.logout_request import OneLogin_Saml2_Logout_Request
from onelogin.saml2.logout_response import OneLogin_Saml2_Logout_Response
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from spatialflow import clock
from sso.models import IdentityProvider, SamlSession
from sso.saml import service_provider
from sso.saml.certificates import fingerprints
from sso.saml.checks import MAX_NAME_ID, SKEW, SUCCESS, UNSPECIFIED, read_time, shifted, shown, spelt
from sso.saml.guard import NS, SAML, SAMLP, SIGNATURE_METHODS, inspect_logout, parse
from sso.saml.keys import get_key_pair
from sso.saml.redirect import RedirectMessage, read_redirect, redirect_url
from sso.saml.settings import place, settings_for
from sso.saml.verdict import Check

LIFETIME = timedelta(minutes=5)  # of a message, from the moment at which it says it was made
# Longer than anybody would take a message: whoever remembers its ID for so long sees each replay.
REMEMBERED = LIFETIME + 2 * SKEW + timedelta(seconds=1)
MAX_INDEXES = 100
KINDS = {"SAMLRequest": "LogoutRequest", "SAMLResponse": "LogoutResponse"}


@dataclass(frozen=True)
class LogoutMessage:
    """One message that has passed the guard. What it says is a claim until `judge_logout` has looked at it."""

    root: Any
    redirect: RedirectMessage

    @property
    def kind(self) -> str:
        """LogoutRequest or LogoutResponse."""
        return KINDS[self.redirect.name]

    @property
    def id(self) -> str:
        return str(self.root.get("ID"))

    @property
    def issuer(self) -> str:
        return str(self.root.findtext("saml:Issuer", "", NS))

    @property
    def in_response_to(self) -> str:
        return str(self.root.get("InResponseTo", ""))

    @property
    def name_id(self) -> str:
        return str(self.root.findtext("saml:NameID", "", NS))

    @property
    def name_id_format(self) -> str:
        """Empty where it says none that tells anything: then the name alone counts, and rather more sign-ins end."""
        element = self.root.find("saml:NameID", NS)
        given = "" if element is None else element.get("Format", "")
        return "" if given == UNSPECIFIED else str(given)

    @property
    def session_indexes(self) -> list[str]:
        return [element.text or "" for element in self.root.iterfind("samlp:SessionIndex", NS)]

    @property
    def is_success(self) -> bool:
        codes = self.root.findall("samlp:Status/samlp:StatusCode", NS)
        return [code.get("Value") for code in codes] == [SUCCESS]

    def is_signed_by(self, provider: IdentityProvider) -> bool:
        """Return whether a certificate of a provider, and no other, vouches for the address that it came in."""
        return any(self.redirect.is_signed_by(pem) for pem in provider.certificates)


def read_logout(query: str) -> LogoutMessage:
    """Return the message in the query of our address for single logout. Raises Refused."""
    redirect = read_redirect(query)
    root = parse(redirect.document)
    inspect_logout(root, KINDS[redirect.name])
    return LogoutMessage(root, redirect)


# --- What the provider says


def judge_logout(message: LogoutMessage, provider: IdentityProvider) -> list[Check]:
    """Return every check of a message, as said by this provider; it counts where all of them passed."""
    now = clock.now()
    made = [_signature(message, provider), _issuer(message, provider), _destination(message, provider)]
    made.append(_issued(message, now))
    if message.kind == "LogoutRequest":
        made += [_not_on_or_after(message, now), _name_id(message, provider)]
    if all(check.passed for check in made):
        made.append(_second_opinion(message, provider))
    return made


def _signature(message: LogoutMessage, provider: IdentityProvider) -> Check:
    """SAML bindings 3.4.4.1: of the address as it came, by an algorithm of the allowlist. Unsigned is nothing."""
    algorithm = message.redirect.algorithm
    holds = algorithm in SIGNATURE_METHODS and message.is_signed_by(provider)
    expected = f"by {' or '.join(fingerprints(provider.certificates))}"
    return Check("signature", holds, expected, shown(algorithm) if algorithm else "no signature")


def _issuer(message: LogoutMessage, provider: IdentityProvider) -> Check:
    return Check("issuer", message.issuer == provider.entity_id, provider.entity_id, shown(message.issuer))


def _destination(message: LogoutMessage, provider: IdentityProvider) -> Check:
    """SAML bindings 3.4.5.2: for the address that it arrived at, to the letter."""
    ours, received = service_provider.slo_url(provider.workspace), message.root.get("Destination")
    return Check("destination", received == ours, ours, shown(received))


def _issued(message: LogoutMessage, now: datetime) -> Check:
    """SAML core 3.2.1: made just now, so that its ID need not be remembered for ever."""
    given = message.root.get("IssueInstant")
    time = read_time(given)
    holds = time is not None and now - LIFETIME - SKEW <= time <= now + SKEW
    return Check("clock", holds, f"at most {LIFETIME.seconds} s ago", _offset(now, given))


def _not_on_or_after(message: LogoutMessage, now: datetime) -> Check:
    """SAML core 3.7.1: not over yet, where it says when that is."""
    given = message.root.get("NotOnOrAfter")
    time = read_time(given)
    holds = given is None or (time is not None and now - SKEW < time)
    return Check("not_on_or_after", holds, "an end ahead, or none", _offset(now, given))


def _name_id(message: LogoutMessage, provider: IdentityProvider) -> Check:
    """SAML core 3.7.1: whose sessions end. It is compared with what we keep, to the letter."""
    element, ours = message.root.find("saml:NameID", NS), service_provider.entity_id(provider.workspace)
    text = message.name_id
    holds = (
        0 < len(text) <= MAX_NAME_ID
        and not any(unicodedata.category(character)[0] in "CZ" for character in text)
        and element.get("SPNameQualifier", ours) == ours
        and len(message.session_indexes) <= MAX_INDEXES
        and all(message.session_indexes)
    )
    return Check("name_id", holds, f"1 to {MAX_NAME_ID} visible characters", shown(text))


def _second_opinion(message: LogoutMessage, provider: IdentityProvider) -> Check:
    """Return whether python3-saml, strict, takes the same message for valid: the schema above all."""
    at = {**place(service_provider.slo_url(provider.workspace)), "get_data": {}}
    encoded = OneLogin_Saml2_Utils.deflate_and_base64_encode(etree.tostring(_shifted(message.root)))
    try:
        if message.kind == "LogoutRequest":
            request = OneLogin_Saml2_Logout_Request(settings_for(provider), encoded)
            agrees = request.is_valid(at) and request.get_nameid(request.get_xml()) == message.name_id
            problem = request.get_error()
        else:
            response = OneLogin_Saml2_Logout_Response(settings_for(provider), encoded)
            agrees, problem = response.is_valid(at, message.in_response_to), response.get_error()
    except Exception as error:  # noqa: BLE001 - the library raises what it likes
        agrees, problem = False, type(error).__name__
    received = "the same" if agrees else shown(problem)
    return Check("library", bool(agrees), "the same judgement by python3-saml", received)


def _shifted(root: Any) -> Any:
    """Return a copy that ends later by SKEW: python3-saml has no tolerance for clocks here."""
    copy, time = deepcopy(root), read_time(root.get("NotOnOrAfter"))
    if time is not None:
        copy.set("NotOnOrAfter", spelt(shifted(time, SKEW)))
    return copy


def _offset(now: datetime, given: str | None) -> str:
    time = read_time(given)
    return shown(given) if time is None else f"{round((time - now).total_seconds()):+d} s"


# --- What we say


def logout_request_url(session: SamlSession, request_id: str) -> str:
    """Return the address at the provider that ends its session (SAML core 3.7.1), signed. `request_id` is the ID as
    the answer must name it, underscore included.
    """
    provider = session.provider
    root = _message("LogoutRequest", provider, request_id)
    root.set("NotOnOrAfter", spelt(clock.now() + LIFETIME))
    name_id = etree.SubElement(root, f"{{{SAML}}}NameID")
    name_id.text = session.name_id
    if session.name_id_format:
        name_id.set("Format", session.name_id_format)
    if session.session_index:
        etree.SubElement(root, f"{{{SAMLP}}}SessionIndex").text = session.session_index
    key = get_key_pair(provider.workspace).private_key
    return redirect_url(provider.slo_url, "SAMLRequest", etree.tostring(root), key)


def logout_response_url(message: LogoutMessage, provider: IdentityProvider) -> str:
    """Return the address at the provider that answers its LogoutRequest with success, signed (SAML core 3.7.2). Its
    RelayState goes back as it came (bindings 3.4.3).
    """
    root = _message("LogoutResponse", provider, OneLogin_Saml2_Utils.generate_unique_id())
    root.set("InResponseTo", message.id)
    status = etree.SubElement(root, f"{{{SAMLP}}}Status")
    etree.SubElement(status, f"{{{SAMLP}}}StatusCode", {"Value": SUCCESS})
    key = get_key_pair(provider.workspace).private_key
    return redirect_url(provider.slo_url, "SAMLResponse", etree.tostring(root), key, message.redirect.relay_state)


def _message(kind: str, provider: IdentityProvider, message_id: str) -> Any:
    head = {
        "ID": message_id,
        "Version": "2.0",
        "IssueInstant": spelt(clock.now()),
        "Destination": provider.slo_url,
    }
    root = etree.Element(f"{{{SAMLP}}}{kind}", head, nsmap={"samlp": SAMLP, "saml": SAML})
    etree.SubElement(root, f"{{{SAML}}}Issuer").text = service_provider.entity_id(provider.workspace)
    return root
