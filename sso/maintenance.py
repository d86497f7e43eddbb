"""What has to be done again and again for single sign-on, by `manage.py sso_maintenance` every hour.

Each step finds what is due by the rows themselves, and changes it by one UPDATE of the state that it found. So it may
run as often as one likes and in several places at once: nothing is done twice, and no mail goes out twice.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import WorkspaceDomain
from sso.dns import find_texts
from sso.domain_proofs import apply_answer, find_overdue, suspend
from sso.mail_saml import tell_owners
from sso.models import IdentityProvider
from sso.saml.certificates import describe
from sso.saml_metadata_import import reread
from sso.saml_plan import SAML_PLANS

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
DUE_AFTER = timedelta(hours=20)  # so that an hourly run does it once a day, at about the same time
WARNING_STEPS = (timedelta(days=30), timedelta(days=7), timedelta(days=1), timedelta(0))  # before the certificate ends
QUESTIONS_AT_ONCE = 16
ANSWERS = {
    "proven": "still proven",
    "restored": "proven again, owners told",
    "lost": "the record is missing, owners told",
    "missing": "the record is still missing",
}


def run() -> Iterator[str]:
    """Do all that is due, and yield a line for each thing done. What fails is logged and stops nothing else; only a
    database that is gone does. Raises what that raises.
    """
    yield from _check_domains()
    yield from _each(find_overdue(), _suspend)
    yield from _each(_providers_to_read(), _reread)
    yield from _each(_serving_providers(), _warn_of_certificate)


def _each(items: Iterable[Item], act: Callable[[Item], str | None]) -> Iterator[str]:
    """Act on each item, and yield what there is to say."""
    for item in items:
        try:
            line = act(item)
        except Exception as error:
            if not connection.is_usable():
                raise
            logger.exception("%s of %r failed", act.__name__, item)
            line = f"{act.__name__.strip('_')} failed ({type(error).__name__}); see the log"
        if line:
            yield line


def _check_domains() -> Iterator[str]:
    """Look for the records of proven domains once a day, and of those whose record was missing in every run."""
    due = Q(lost_at__isnull=False) | Q(checked_at=None) | Q(checked_at__lt=timezone.now() - DUE_AFTER)
    claims = WorkspaceDomain.objects.filter(due, verified_at__isnull=False).order_by("checked_at", "id")
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
        yield from _each([(claim, pool.submit(find_texts, claim.dns_name)) for claim in claims], _check_domain)


def _check_domain(asked: tuple[WorkspaceDomain, "Future[list[str] | None]"]) -> str:
    claim, answer = asked
    texts = answer.result()
    if texts is None:
        return f"{claim.domain}: the DNS did not answer, nothing changed"
    return f"{claim.domain}: {ANSWERS[apply_answer(claim, texts)]}"


def _suspend(claim: WorkspaceDomain) -> str | None:
    return f"{claim.domain}: suspended, owners told" if suspend(claim) else None


def _providers() -> models.QuerySet[IdentityProvider]:
    """The connections of workspaces that may use them."""
    able = IdentityProvider.objects.filter(workspace__suspended_at=None, workspace__plan__in=SAML_PLANS)
    return able.select_related("workspace").order_by("id")


def _providers_to_read() -> list[IdentityProvider]:
    in_use = [IdentityProvider.State.SERVING, IdentityProvider.State.STAGED]
    due = Q(metadata_read_at=None) | Q(metadata_read_at__lt=timezone.now() - DUE_AFTER)
    return list(_providers().filter(due, state__in=in_use).exclude(metadata_url=""))


def _reread(provider: IdentityProvider) -> str:
    reread(provider)
    provider.refresh_from_db(fields=["metadata_problem"])
    outcome = f"not taken: {provider.metadata_problem}" if provider.metadata_problem else "read"
    return f"{provider.workspace.slug}: metadata {outcome}"


def _serving_providers() -> list[IdentityProvider]:
    return list(_providers().filter(state=IdentityProvider.State.SERVING, is_enabled=True))


def _warn_of_certificate(provider: IdentityProvider) -> str | None:
    """Tell the owners when the certificate that lasts longest has 30, 7, 1 and 0 days left, at most once each."""
    if not provider.certificates:
        return None
    expires_at = max(describe(pem).not_after for pem in provider.certificates)
    reached = [expires_at - step for step in WARNING_STEPS if expires_at - step <= timezone.now()]
    if not reached or _was_warned_since(reached[-1], provider):
        return None
    as_seen = IdentityProvider.objects.filter(
        id=provider.id,
        certificates=provider.certificates,
        certificate_warned_at=provider.certificate_warned_at,
    )
    with transaction.atomic():
        if not as_seen.update(certificate_warned_at=timezone.now()):
            return None  # another run has, or an owner has changed the certificates
        tell_owners(
            provider.workspace_id,
            "certificate_expires",
            entity_id=provider.entity_id,
            expires_at=f"{expires_at:%d %B %Y}",
            is_over=expires_at <= timezone.now(),
        )
    return f"{provider.workspace.slug}: certificate ends {expires_at:%Y-%m-%d}, owners told"


def _was_warned_since(moment: datetime, provider: IdentityProvider) -> bool:
    return provider.certificate_warned_at is not None and provider.certificate_warned_at >= moment
