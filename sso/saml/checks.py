"""What an assertion and the response around it must say, check by check (SAML core 2.3 to 2.7, profiles 4.1.4).

Each check looks at one rule and tells a workspace's owner what was expected and what was received. Of a document whose
signature does not hold these are claims, so they are shortened and stripped.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sso.models import IdentityProvider
from sso.saml import service_provider
from sso.saml.guard import NS
from sso.saml.verdict import Check

SKEW = timedelta(seconds=120)  # how far two clocks may be apart
MAX_CONFIRMATION = timedelta(hours=1)  # from now to the end of the confirmation; Entra ID gives an hour
MAX_CONDITIONS = timedelta(minutes=70)  # from the beginning of the conditions to their end; Entra ID: 65 minutes
MAX_LOGIN_AGE = timedelta(seconds=60)  # how long before our request a login may be that it has forced
MAX_NAME_ID = 254
MAX_SHOWN = 200

BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
ENCRYPTED = "urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """One response and its one assertion, beside what we know ourselves."""

    response: Any
    assertion: Any
    provider: IdentityProvider
    request_id: str | None
    login_after: datetime | None  # when the request was made that has forced a login; None: any login will do
    now: datetime

    @property
    def entity_id(self) -> str:
        return service_provider.entity_id(self.provider.workspace)

    @property
    def acs_url(self) -> str:
        return service_provider.acs_url(self.provider.workspace)

    @property
    def confirmation(self) -> Any:
        """The data of the first subject confirmation; None where there is none."""
        return self.assertion.find("saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData", NS)

    @property
    def conditions(self) -> Any:
        return self.assertion.find("saml:Conditions", NS)

    @property
    def name_id(self) -> Any:
        return self.assertion.find("saml:Subject/saml:NameID", NS)


def shown(*claimed: str | None) -> str:
    """Return claimed values as an owner may see them: whole and harmless, no longer than MAX_SHOWN."""
    texts = ["nothing" if one is None else visible(one[: MAX_SHOWN + 1]) or "empty" for one in claimed]
    return ", ".join(dict.fromkeys(texts))[:MAX_SHOWN]


def visible(text: str) -> str:
    """Return a text whose characters that do not print are named: what differs by one must not look the same."""
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text)


def shifted(time: datetime, by: timedelta) -> datetime:
    """Return a moment earlier or later, or the first or last there is: providers write the year 9999 for "never"."""
    try:
        return time + by
    except OverflowError:
        return (datetime.max if by > timedelta(0) else datetime.min).replace(tzinfo=UTC)


def spelt(time: datetime) -> str:
    """Return a moment in UTC as SAML core 1.3.3 spells it."""
    return time.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def read_time(text: str | None) -> datetime | None:
    """Return a moment in UTC as SAML core 1.3.3 spells it, or None for anything else, impossible dates too."""
    if text is None or not _TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def all_of(answer: Answer) -> list[Check]:
    """Return every check of an answer, in the order in which their failures matter."""
    return [check(answer) for check in CHECKS]


def status(response: Any) -> Check:
    """Return whether the provider signed anybody in (SAML core 3.2.2), or else what it said instead."""
    codes = [code.get("Value") for code in response.iterfind("samlp:Status//samlp:StatusCode", NS)]
    said = response.findtext("samlp:Status/samlp:StatusMessage", None, NS)
    received = [code.rpartition(":")[2] for code in codes if code] + ([said] if said else [])
    return Check("status", codes[:1] == [SUCCESS], "Success", shown(*received) if received else "nothing")


def issuer(answer: Answer) -> Check:
    """SAML profiles 4.1.4.2: the assertion's issuer is the provider; the response's too, or it is not there."""
    expected = answer.provider.entity_id
    of_assertion = answer.assertion.findtext("saml:Issuer", None, NS)
    of_response = answer.response.findtext("saml:Issuer", None, NS)
    holds = of_assertion == expected and of_response in (expected, None)
    received = (of_assertion,) if of_response is None else (of_assertion, of_response)
    return Check("issuer", holds, expected, shown(*received))


def destination(answer: Answer) -> Check:
    """SAML bindings 3.5.5.2: the response is for the address that it arrived at, to the letter."""
    received = answer.response.get("Destination")
    return Check("destination", received == answer.acs_url, answer.acs_url, shown(received))


def audience(answer: Answer) -> Check:
    """SAML core 2.5.1.4: there is a restriction, and each one names us. Otherwise the assertion is for others."""
    restrictions = answer.assertion.findall("saml:Conditions/saml:AudienceRestriction", NS)
    groups = [[one.text or "" for one in each.findall("saml:Audience", NS)] for each in restrictions]
    holds = bool(groups) and all(answer.entity_id in group for group in groups)
    received = shown(*[one for group in groups for one in group]) if any(groups) else "nothing"
    return Check("audience", holds, answer.entity_id, received)


def confirmation(answer: Answer) -> Check:
    """SAML profiles 4.1.4.2: whoever brings the assertion is its subject, and nothing else confirms that."""
    methods = [each.get("Method") for each in answer.assertion.iterfind("saml:Subject/saml:SubjectConfirmation", NS)]
    holds = methods == [BEARER] and answer.confirmation is not None
    return Check("confirmation", holds, BEARER, shown(*methods) if methods else "nothing")


def in_response_to(answer: Answer) -> Check:
    """SAML profiles 4.1.4.3: the response and the confirmation name our request; neither does where there was none."""
    claimed = [answer.response.get("InResponseTo"), _of(answer.confirmation, "InResponseTo")]
    holds = all(one == answer.request_id for one in claimed)
    return Check("in_response_to", holds, shown(answer.request_id), shown(*claimed))


def recipient(answer: Answer) -> Check:
    """SAML profiles 4.1.4.2: the confirmation is for our address, to the letter."""
    received = _of(answer.confirmation, "Recipient")
    return Check("recipient", received == answer.acs_url, answer.acs_url, shown(received))


def not_before(answer: Answer) -> Check:
    """SAML core 2.5.1.2 and 2.4.1.2: both have begun, or say nothing of it."""
    given = [_of(answer.conditions, "NotBefore"), _of(answer.confirmation, "NotBefore")]
    times = [read_time(text) for text in given if text is not None]
    holds = all(time is not None and time <= answer.now + SKEW for time in times)
    return Check("not_before", holds, f"at most {_seconds(SKEW)} from now", _offsets(answer.now, *given))


def not_on_or_after(answer: Answer) -> Check:
    """SAML core 2.5.1.2 and profiles 4.1.4.2: both end, soon, and have not yet."""
    given = [_of(answer.conditions, "NotOnOrAfter"), _of(answer.confirmation, "NotOnOrAfter")]
    of_conditions, of_confirmation = (read_time(text) for text in given)
    begins = read_time(_of(answer.conditions, "NotBefore")) or answer.now
    holds = (
        of_conditions is not None
        and of_confirmation is not None
        and answer.now - SKEW < min(of_conditions, of_confirmation)
        and of_confirmation - answer.now <= MAX_CONFIRMATION + SKEW
        and of_conditions - answer.now <= MAX_CONDITIONS + SKEW
        and of_conditions - begins <= MAX_CONDITIONS + SKEW
    )
    expected = f"both times, between -{_seconds(SKEW)} and +{_seconds(MAX_CONFIRMATION)} from now"
    return Check("not_on_or_after", holds, expected, _offsets(answer.now, *given))


def clock(answer: Answer) -> Check:
    """The provider's clock, by the moments at which it says it answered, is not ahead of ours."""
    given = [element.get("IssueInstant") for element in (answer.response, answer.assertion)]
    times = [read_time(text) for text in given]
    holds = all(time is not None and time <= answer.now + SKEW for time in times)
    return Check("clock", holds, f"at most {_seconds(SKEW)} ahead of ours", _offsets(answer.now, *given))


def authn_statement(answer: Answer) -> Check:
    """SAML profiles 4.1.4.2: one statement says that the subject signed in, at a moment that has been; and where the
    request has forced a login (core 3.4.1, ForceAuthn), not before that.
    """
    statements = answer.assertion.findall("saml:AuthnStatement", NS)
    given = [statement.get("AuthnInstant") for statement in statements]
    times = [read_time(text) for text in given]
    holds = len(times) == 1 and times[0] is not None and times[0] <= answer.now + SKEW
    expected = "one, not ahead of our clock"
    if answer.login_after is not None:
        holds = holds and times[0] is not None and times[0] >= answer.login_after - MAX_LOGIN_AGE
        since = round((answer.login_after - MAX_LOGIN_AGE - answer.now).total_seconds())
        expected = f"one, of the login that was asked for: from {since:+d} s on, not ahead of our clock"
    received = f"{len(times)} statements" if len(times) != 1 else _offsets(answer.now, *given)
    return Check("authn_statement", holds, expected, received)


def session(answer: Answer) -> Check:
    """SAML core 2.7.2: the session at the provider has not ended."""
    given = _of(answer.assertion.find("saml:AuthnStatement", NS), "SessionNotOnOrAfter")
    ends = read_time(given)
    holds = given is None or (ends is not None and answer.now - SKEW < ends)
    return Check("session", holds, "an end ahead, or none", _offsets(answer.now, given))


def name_id(answer: Answer) -> Check:
    """SAML core 2.2.3: one name that lasts, visible characters only, of at most MAX_NAME_ID."""
    element = answer.name_id
    expected = f"1 to {MAX_NAME_ID} visible characters, of a format that lasts"
    if element is None:
        return Check("name_id", False, expected, "nothing")
    text = element.text or ""
    holds = (
        0 < len(text) <= MAX_NAME_ID
        and not any(unicodedata.category(character)[0] in "CZ" for character in text)
        and element.get("Format") not in (TRANSIENT, ENCRYPTED)
        and element.get("SPNameQualifier", answer.entity_id) == answer.entity_id
    )
    return Check("name_id", holds, expected, shown(text, element.get("Format")))


CHECKS: list[Callable[[Answer], Check]] = [
    issuer,
    destination,
    audience,
    confirmation,
    in_response_to,
    recipient,
    not_before,
    not_on_or_after,
    clock,
    authn_statement,
    session,
    name_id,
]


def _of(element: Any, name: str) -> str | None:
    """Return an attribute of an element that may be missing."""
    return None if element is None else element.get(name)


def _seconds(length: timedelta) -> str:
    return f"{round(length.total_seconds())} s"


def _offsets(now: datetime, *given: str | None) -> str:
    """Return how far from now the given times are, in seconds; one that is no time as it was given."""
    described = []
    for text in given:
        time = read_time(text)
        described.append(shown(text) if time is None else f"{round((time - now).total_seconds()):+d} s")
    return ", ".join(dict.fromkeys(described))[:MAX_SHOWN]
