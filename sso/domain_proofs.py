"""What an answer of the DNS does to a workspace's claim of a domain: proven, lost, back, suspended.

Each change is one UPDATE of the row in the state that it leaves, so of concurrent checks one makes it and tells the
owners. Nobody asks the DNS inside of a transaction.
"""

import uuid
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request

from accounts.audit import Action, record, record_for
from accounts.members import lock_caller
from accounts.models import SignIn, Workspace, WorkspaceDomain
from accounts.models.domain import PROOF_GRACE
from accounts.operations import OPERATOR
from accounts.scopes import SSO_MANAGE
from accounts.sso_requirement import BY_SAML, demands_sso, end_overruled_sign_ins
from spatialflow.errors import ApiError, NotFound
from sso.mail_saml import tell_owners
from sso.models import LoginCode, SamlSession


class DomainTaken(ApiError):
    """A proven domain belongs to one workspace. 400 as in the contract."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = (
        "Another workspace has proven this domain. Remove it there first, or have its record taken out of the DNS."
    )
    default_code = "domain_taken"


def apply_answer(claim: WorkspaceDomain, texts: list[str], request: Request | None = None) -> str:
    """Carry out what an answer of the DNS means for a claim; return `proven`, `restored`, `lost` or `missing`.

    `missing` changes nothing but `checked_at`. Without a request it is the daily check that does it. Raises
    `DomainTaken`.
    """
    if claim.dns_value in texts:
        if claim.verified_at is None:
            return _prove(claim, request)
        return _restore(claim, request)
    return _miss(claim, request)


def refuse_taken(domain: str, workspace_id: uuid.UUID) -> None:
    """Raise `DomainTaken` where another workspace's proof of the domain stands."""
    if WorkspaceDomain.objects.proven().filter(domain=domain).exclude(workspace_id=workspace_id).exists():
        raise DomainTaken()


def find_overdue(**claims: Any) -> list[WorkspaceDomain]:
    """Return the proofs among these claims that have been lost for longer than PROOF_GRACE.

    They do not count since the grace ended; once they are suspended, another workspace can prove the domain.
    """
    overdue = WorkspaceDomain.objects.filter(verified_at__isnull=False, lost_at__lte=timezone.now() - PROOF_GRACE)
    return list(overdue.filter(**claims).order_by("id"))


@transaction.atomic
def suspend(claim: WorkspaceDomain) -> bool:
    """Take an overdue proof back, end the sign-ins that came by it, tell the owners. Return False where somebody else
    has, or where its record is back.
    """
    Workspace.objects.lock(claim.workspace_id)
    overdue = WorkspaceDomain.objects.filter(verified_at__isnull=False, lost_at__lte=timezone.now() - PROOF_GRACE)
    if not overdue.filter(id=claim.id).update(verified_at=None):
        return False
    ended = end_uncovered_sign_ins(claim.workspace_id)
    tell_owners(claim.workspace_id, "domain_suspended", domain=claim.domain)
    what = "A domain whose proof stayed missing does not count any more."
    _record(None, Action.DOMAIN_SUSPENDED, what, claim, sign_ins_ended=ended)
    return True


def end_uncovered_sign_ins(workspace_id: uuid.UUID) -> int:
    """End the sign-ins that a workspace's identity provider began by an address in no proven domain of it, and those on
    their way; return how many sign-ins ended. Call it within the transaction that takes a domain away, which holds the
    workspace's row: so no such sign-in comes behind it (`hold_entry`).

    Of a sign-in whose connection was deleted nobody knows any more how it came: it ends, too.
    """
    proven = list(WorkspaceDomain.objects.for_workspace(workspace_id).proven().values_list("domain", flat=True))
    codes = LoginCode.objects.filter(workspace_id=workspace_id, provider__startswith="saml-")
    codes.exclude(domain__in=proven).delete()
    by_provider = SignIn.objects.live().filter(workspace_id=workspace_id, method=BY_SAML)
    uncovered = by_provider.exclude(id__in=SamlSession.objects.filter(domain__in=proven).values("sign_in_id"))
    # Locked in one order, so that two who end sign-ins never wait in a circle.
    ended = list(uncovered.select_for_update(no_key=True).order_by("id").values_list("id", flat=True))
    return SignIn.objects.filter(id__in=ended).revoke("domain_lost")


def _prove(claim: WorkspaceDomain, request: Request | None) -> str:
    for overdue in find_overdue(domain=claim.domain):
        suspend(overdue)
    now = timezone.now()
    unproven = WorkspaceDomain.objects.filter(id=claim.id, verified_at=None)
    try:
        with transaction.atomic():
            workspace = _lock(claim, request)
            if unproven.update(verified_at=now, checked_at=now, lost_at=None):
                ended = _apply_demand(workspace)
                what = "The proof of a domain was found in the DNS."
                _record(request, Action.DOMAIN_PROVEN, what, claim, sign_ins_ended=ended)
    except IntegrityError:  # another workspace has proven it, perhaps at this very moment
        raise DomainTaken() from None
    return "proven"


def _restore(claim: WorkspaceDomain, request: Request | None) -> str:
    proven = WorkspaceDomain.objects.filter(id=claim.id, verified_at__isnull=False)
    with transaction.atomic():
        workspace = _lock(claim, request)
        proven.update(checked_at=timezone.now())
        if not proven.filter(lost_at__isnull=False).update(lost_at=None):
            return "proven"
        ended = _apply_demand(workspace)  # there are some where the grace was over and nobody had noticed
        tell_owners(claim.workspace_id, "domain_proof_found", domain=claim.domain)
        what = "The lost proof of a domain is back in the DNS."
        _record(request, Action.DOMAIN_PROVEN, what, claim, sign_ins_ended=ended)
    return "restored"


def _lock(claim: WorkspaceDomain, request: Request | None) -> Workspace:
    """Let nobody begin or end to require single sign-on, nor sign in by it, until the transaction is over. Raises
    `NotFound`, `InsufficientPermissions` where the caller is no owner any more.
    """
    if request is not None:
        return lock_caller(request, SSO_MANAGE).workspace
    workspace = Workspace.objects.lock(claim.workspace_id)
    if workspace is None:
        raise NotFound()
    return workspace


def _apply_demand(workspace: Workspace) -> int:
    """Where the workspace requires single sign-on, it does so of one domain more: end what its people signed in to by
    other ways, and return how many sign-ins that were.
    """
    return end_overruled_sign_ins(workspace.id) if demands_sso(workspace) else 0


def _miss(claim: WorkspaceDomain, request: Request | None) -> str:
    now = timezone.now()
    WorkspaceDomain.objects.filter(id=claim.id).update(checked_at=now)
    standing = WorkspaceDomain.objects.filter(id=claim.id, verified_at__isnull=False, lost_at=None)
    with transaction.atomic():
        if not standing.update(lost_at=now):
            return "missing"
        ends_at = now + PROOF_GRACE
        tell_owners(
            claim.workspace_id,
            "domain_proof_lost",
            domain=claim.domain,
            dns_name=claim.dns_name,
            dns_value=claim.dns_value,
            ends_at=f"{ends_at:%d %B %Y, %H:%M} UTC",
        )
        _record(request, Action.DOMAIN_PROOF_LOST, "The proof of a domain is missing in the DNS.", claim)
    return "lost"


def _record(request: Request | None, action: Action, description: str, claim: WorkspaceDomain, **changes: Any) -> None:
    """Record it for the caller, or as the service's own act."""
    details: dict[str, Any] = {"resource": ("domain", claim.id), "changes": {"domain": claim.domain, **changes}}
    if request is None:
        record(action, OPERATOR, description, workspace_id=claim.workspace_id, **details)
    else:
        record_for(request, action, description, **details)
