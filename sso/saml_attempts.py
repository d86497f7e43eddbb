"""What owners see of answers that were refused and of tests: each check. A bounded number of rows, each bounded."""

import uuid
from datetime import timedelta

from django.db import IntegrityError
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from accounts.models import User
from sso.models import IdentityProvider, SamlAttempt
from sso.saml.checks import visible
from sso.saml.verdict import Check, Verdict

MAX_KEPT = 200  # attempts a workspace
MAX_KEPT_OF_ANYBODY = 20  # those anybody can cause, so that they push out none of the others
LIFETIME = timedelta(days=30)
MAX_TEXT, MAX_VALUES, MAX_ATTRIBUTES = 200, 20, 50


def keep_attempt(
    workspace_id: uuid.UUID, provider: IdentityProvider | None, verdict: Verdict, *, is_test: bool = False
) -> SamlAttempt:
    """Keep what came of an answer, and let go of the oldest ones. Without a provider it is one that anybody can cause:
    with no signature that holds, or to no request of ours. Outside of any transaction.
    """
    failed = verdict.failed_check
    attempt = SamlAttempt(
        workspace_id=workspace_id,
        provider=provider,
        is_test=is_test,
        succeeded=not failed,
        failed_check=failed,
        checks=[_as_json(check) for check in verdict.checks],
        attributes=_attributes(verdict),
    )
    try:
        attempt.save(force_insert=True)
    except IntegrityError:  # the connection was deleted meanwhile, and then its attempts go on without it
        attempt.provider = None
        attempt.save(force_insert=True)
    _sweep(workspace_id, anybodys=provider is None)
    return attempt


def _sweep(workspace_id: uuid.UUID, anybodys: bool) -> None:
    attempts = SamlAttempt.objects.for_workspace(workspace_id)
    attempts.filter(created_at__lt=timezone.now() - LIFETIME).delete()
    alike, kept = attempts.filter(provider__isnull=anybodys), MAX_KEPT_OF_ANYBODY if anybodys else MAX_KEPT
    doomed = alike.order_by("-created_at", "id").values_list("id", flat=True)[kept : kept + 100]
    SamlAttempt.objects.filter(id__in=list(doomed)).delete()


def forget_attempts_of(user_id: uuid.UUID) -> None:
    """Delete, as the account of a person ends, the attempts that name their address, in any workspace."""
    for email in User.objects.filter(id=user_id).values_list("email", flat=True):
        named = SamlAttempt.objects.annotate(said=Cast("attributes", TextField()), seen=Cast("checks", TextField()))
        named.filter(Q(said__icontains=email) | Q(seen__icontains=email)).delete()


def _as_json(check: Check) -> dict[str, object]:
    return {
        "check": check.name,
        "passed": check.passed,
        "expected": shown(check.expected),
        "received": shown(check.received),
    }


def _attributes(verdict: Verdict) -> dict[str, list[str]]:
    """Return what the verified assertion says, its NameID first; nothing of a document that nobody has signed."""
    assertion = verdict.assertion
    if assertion is None:
        return {}
    said = {"NameID": [assertion.name_id], "NameID format": [assertion.name_id_format], **assertion.attributes}
    return {
        shown(name): [shown(value) for value in values[:MAX_VALUES]]
        for name, values in list(said.items())[:MAX_ATTRIBUTES]
    }


def shown(text: str) -> str:
    """Return a text of somebody else's as owners may see it: short, with characters that do not print named."""
    printable = visible(text[: MAX_TEXT + 1])
    return printable if len(printable) <= MAX_TEXT else f"{printable[:MAX_TEXT]}…"
