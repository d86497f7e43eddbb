"""What a verified assertion must say of a person before it may sign anybody in: said once, of one address, in a domain
that the workspace has proven.
"""

import json
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime

from django.core.exceptions import ValidationError

from accounts.emails import canonical_email
from accounts.sso_requirement import domain_of
from spatialflow import clock
from sso.domains import covers
from sso.login import Identity
from sso.models import IdentityProvider, SpentToken, digest
from sso.saml.keys import note_use_of_former
from sso.saml.response import judge
from sso.saml.verdict import Assertion, Check, Verdict
from sso.saml_serving import why_not_serving

EMAIL_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
MAX_NAME = 255


@dataclass(frozen=True)
class Findings:
    """Every check that was made of an answer, and whom its verified assertion names."""

    verdict: Verdict
    named: Identity | None = None

    @property
    def identity(self) -> Identity | None:
        """Whom the answer names, where all checks passed."""
        return None if self.verdict.failed_check else self.named

    def and_then(self, *checks: Check) -> "Findings":
        return replace(self, verdict=replace(self.verdict, checks=[*self.verdict.checks, *checks]))


def examine(
    encoded: str,
    provider: IdentityProvider,
    request_id: str | None,
    *,
    login_after: datetime | None = None,
    is_test: bool = False,
) -> Findings:
    """Return what is to be said of an answer to the request, or None where the provider began. Spends the assertion.

    `provider` is as it is stored now, with its workspace. `login_after` is when the request was made, where it has
    forced a login.
    """
    obstacle = why_not_serving(provider, is_test=is_test)
    if obstacle:
        return Findings(Verdict([Check("connection", False, "a connection in service", obstacle)]))
    verdict = judge(encoded, provider, request_id, login_after)
    if verdict.is_for_former_key:
        note_use_of_former(provider.workspace)
    checks, assertion = [Check("connection", True), *verdict.checks], verdict.assertion
    if assertion is None:
        return Findings(Verdict(checks))
    email, check = _read_email(assertion, provider)
    checks += [_spend(assertion, provider), check]
    if email is None:
        return Findings(Verdict(checks, assertion))
    checks += _check_address(assertion, provider, email)
    return Findings(Verdict(checks, assertion), _identity(assertion, provider, email))


def _spend(assertion: Assertion, provider: IdentityProvider) -> Check:
    """Let an assertion count once for as long as anybody would take it (SAML profiles 4.1.4.5)."""
    lifetime = assertion.expires_at - clock.now()
    is_first = SpentToken.objects.spend(provider.provider_name, assertion.id, lifetime)
    return Check("replay", is_first, "an assertion not used before", "" if is_first else "used before")


def _read_email(assertion: Assertion, provider: IdentityProvider) -> tuple[str | None, Check]:
    """Return the canonical address that the assertion names, by the attribute that is mapped, else by the NameID."""
    attribute = str(provider.attribute_mapping.get("email") or "")
    expected = f"one address in the attribute {attribute}" if attribute else "an address as the NameID"
    values = assertion.attributes.get(attribute, []) if attribute else [assertion.name_id]
    if len(values) != 1:
        return None, Check("email", False, expected, f"{len(values)} values")
    email = _canonical(values[0])
    return email, Check("email", email is not None, expected, values[0])


def _canonical(text: str) -> str | None:
    """Return an address in its canonical form, or None for what merely looks like one once it is repaired."""
    if not text.isprintable() or text.split() != [text] or text != unicodedata.normalize("NFKC", text):
        return None
    try:
        return canonical_email(text)
    except ValidationError:
        return None


def _check_address(assertion: Assertion, provider: IdentityProvider, email: str) -> list[Check]:
    checks = []
    if assertion.name_id_format == EMAIL_FORMAT:
        is_same = _canonical(assertion.name_id) == email
        checks.append(Check("name_id_email", is_same, f"{email} as the NameID too", assertion.name_id))
    is_covered = covers(provider.workspace_id, email)
    return [*checks, Check("domain", is_covered, "a domain that the workspace has proven", domain_of(email))]


def _identity(assertion: Assertion, provider: IdentityProvider, email: str) -> Identity:
    """Return whom an assertion names. A NameID that is an address counts in its canonical form. Any other is a name in
    the space that its format and its qualifier make (SAML core 2.2.2, 8.3), so the digest of all three stands for it:
    the same letters in another space may be somebody else.
    """
    subject = email
    if assertion.name_id_format != EMAIL_FORMAT or assertion.name_qualifier:
        spelt = json.dumps([assertion.name_id_format, assertion.name_qualifier, assertion.name_id])
        subject = f"sha256:{digest(spelt).hex()}"
    return Identity(provider.provider_name, subject, email, True, _read_name(assertion, provider))


def _read_name(assertion: Assertion, provider: IdentityProvider) -> str:
    """Return the person's name by the attributes that are mapped, if there is one fit to show."""
    mapping = provider.attribute_mapping
    whole = _first_value(assertion, mapping.get("name"))
    parts = (_first_value(assertion, mapping.get(part)) for part in ("first_name", "last_name"))
    name = whole or " ".join(part for part in parts if part)
    return name if name.isprintable() and len(name) <= MAX_NAME else ""


def _first_value(assertion: Assertion, attribute: object) -> str:
    return next(iter(assertion.attributes.get(str(attribute or ""), [])), "").strip()
