"""Testing a connection by a real sign-in that signs nobody in, and looking at what came of sign-ins that failed."""

import base64
import binascii
import uuid
from datetime import datetime
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import Q
from rest_framework.request import Request
from rest_framework.serializers import ValidationError

from accounts.audit import Action
from accounts.principal import Principal
from spatialflow.api import read_id
from spatialflow.errors import NotFound
from sso.destinations import TESTED, read_destination
from sso.models import IdentityProvider, SamlAttempt, SamlTest
from sso.saml import service_provider
from sso.saml_config import find_in, lock_own_workspace, record_change
from sso.saml_meant import refuse_others
from sso.saml_plan import refuse_other_plans


@transaction.atomic
def begin_test(request: Request, *, staged: bool = False, destination: str = "", meant: str | None = None) -> str:
    """Return the address that begins a test of the serving connection, or of the staged one, in the owner's browser:
    once, within ten minutes. It ends at `destination`, or at the dashboard's page for it.

    Raises `PlanRequired`, `NotFound`, `InvalidDestination`, and what `refuse_others` raises of the one that is `meant`.
    """
    destination = destination or TESTED
    read_destination(destination)
    workspace = lock_own_workspace(request)
    refuse_other_plans(workspace.plan)
    state = IdentityProvider.State.STAGED if staged else IdentityProvider.State.SERVING
    refuse_others(workspace.id, state, meant)
    provider = find_in(workspace.id, state)
    ticket = SamlTest.objects.issue(provider=provider, next=destination)
    changes = {"entity_id": provider.entity_id, "state": provider.state}
    record_change(request, provider.workspace_id, Action.SSO_TESTED, "A test of a SAML connection was begun.", changes)
    return f"{service_provider.initiate_url(provider.workspace)}?{urlencode({'test': ticket})}"


def list_attempts(
    principal: Principal, *, limit: int, cursor: str = "", is_test: bool | None = None, succeeded: bool | None = None
) -> tuple[list[SamlAttempt], str | None]:
    """Return a page of the workspace's attempts, newest first, and the cursor of the next one, if there is any.

    Raises the 422 of `cursor`.
    """
    attempts = SamlAttempt.objects.for_workspace(principal.workspace_id).select_related("provider")
    if is_test is not None:
        attempts = attempts.filter(is_test=is_test)
    if succeeded is not None:
        attempts = attempts.filter(succeeded=succeeded)
    if cursor:
        created_at, identifier = _read_cursor(cursor)
        attempts = attempts.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__gt=identifier))
    page = list(attempts.order_by("-created_at", "id")[: limit + 1])
    return page[:limit], _cursor(page[limit - 1]) if len(page) > limit else None


def get_attempt(principal: Principal, attempt_id: str) -> SamlAttempt:
    """Return an attempt of the caller's workspace. Raises `NotFound`, alike for absent and for somebody else's."""
    attempts = SamlAttempt.objects.for_workspace(principal.workspace_id).select_related("provider")
    found = attempts.filter(id=read_id(attempt_id)).first()
    if found is None:
        raise NotFound()
    return found


def _cursor(attempt: SamlAttempt) -> str:
    return base64.urlsafe_b64encode(f"{attempt.created_at.isoformat()} {attempt.id}".encode()).decode()


def _read_cursor(text: str) -> tuple[datetime, uuid.UUID]:
    try:
        moment, identifier = base64.urlsafe_b64decode(text.encode()).decode().split(" ")
        created_at = datetime.fromisoformat(moment)
        if created_at.tzinfo is None:
            raise ValueError
        return created_at, uuid.UUID(identifier)
    except (ValueError, binascii.Error):
        raise ValidationError({"cursor": ["Send the next_cursor of an answer as it is."]}) from None
