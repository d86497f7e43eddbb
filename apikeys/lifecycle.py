"""What happens to an API key between its making and its end. The API and the dashboard both call these functions."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request

from accounts.audit import Action, Person, record_for
from accounts.models import Membership, Workspace
from accounts.permissions import InsufficientPermissions
from accounts.principal import Principal
from accounts.scopes import ROLE_SCOPES, with_implied
from accounts.usage import forget_who_used
from apikeys import keys
from apikeys.models import ApiKey
from spatialflow.api import read_id
from spatialflow.errors import Conflict, NotFound

MAX_GRACE_DAYS = 90


class TooManyKeys(Conflict):
    default_detail = "This workspace has as many API keys as it may have. Revoke one that is not used any more."
    default_code = "too_many_api_keys"


class KeyChanged(Conflict):
    default_detail = "Somebody replaced this API key at the same moment. Look at the list before you try again."
    default_code = "api_key_changed"


class KeyRotated(Conflict):
    default_detail = (
        "This API key was rotated already: it can only be retired, by an earlier expiration or by deleting it."
    )
    default_code = "api_key_rotated"


def get_own_key(principal: Principal, key_id: str) -> ApiKey:
    """Return one of the caller's keys in the workspace. Raises `NotFound`, alike for absent and for somebody else's."""
    return _get(ApiKey.objects.for_workspace(principal.workspace_id).filter(created_by_id=principal.user_id), key_id)


def get_workspace_key(principal: Principal, key_id: str) -> ApiKey:
    """Return any key of the workspace, for its owners. Raises `NotFound`."""
    return _get(ApiKey.objects.for_workspace(principal.workspace_id), key_id)


def _get(visible: Any, key_id: str) -> ApiKey:
    found: ApiKey | None = visible.with_usage().filter(id=read_id(key_id)).first()
    if found is None:
        raise NotFound()
    return found


@transaction.atomic
def create_key(request: Request, **fields: Any) -> tuple[ApiKey, str]:
    """Return a new key of the caller and its plain text. Raises `InsufficientPermissions`, `TooManyKeys`."""
    key, raw = _issue(request.auth, **fields)
    _record(request, Action.KEY_CREATED, "API key created.", key, {"name": key.name, "permissions": key.scopes})
    return key, raw


def _issue(principal: Principal, **fields: Any) -> tuple[ApiKey, str]:
    if not principal.email_is_verified:
        raise InsufficientPermissions("Verify your email address before making API keys.", "email_not_verified")
    Workspace.objects.select_for_update(no_key=True).get(pk=principal.workspace_id)  # so that the count holds
    if ApiKey.objects.for_workspace(principal.workspace_id).count() >= settings.MAX_API_KEYS_PER_WORKSPACE:
        raise TooManyKeys()
    made: tuple[ApiKey, str] = ApiKey.objects.issue(
        workspace_id=principal.workspace_id, created_by_id=principal.user_id, **fields
    )
    return made


@transaction.atomic
def update_key(request: Request, key: ApiKey, **changes: Any) -> None:
    changed = {name: value for name, value in changes.items() if getattr(key, name) != value}
    if not changed:
        return
    _save(key, **changed)
    _record(request, Action.KEY_UPDATED, "API key changed.", key, changed)


def _save(key: ApiKey, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(key, name, value)
    key.save(update_fields=list(changes))


def _record(
    request: Request, action: Action, description: str, key: ApiKey, changes: dict[str, Any] | None = None
) -> None:
    resource = ("api_key", key.id)
    record_for(request, action, description, resource=resource, changes=changes, target=Person(key.created_by_id))


@transaction.atomic
def regenerate(request: Request, key: ApiKey) -> str:
    """Replace a key's secret at once and return the new plain text. Raises `KeyChanged` to all but one of a race."""
    raw = keys.generate()
    replacement = {"digest": keys.digest(raw), "prefix": keys.shown_prefix(raw)}
    if not ApiKey.objects.filter(id=key.id, digest=key.digest, revoked_at=None).update(**replacement):
        raise KeyChanged()
    key.prefix, key.digest = replacement["prefix"], replacement["digest"]
    _record(request, Action.KEY_REGENERATED, "API key regenerated; the old secret works no more.", key)
    return raw


@transaction.atomic
def rotate(request: Request, key: ApiKey, grace: timedelta) -> tuple[ApiKey, str]:
    """Return a new key with the old one's rights; the old one works on for `grace`. Raises `KeyRotated`, `TooManyKeys`.

    A key that was made to expire is followed by one that lives as long.
    """
    now = timezone.now()
    successor, raw = _issue(
        request.auth,
        name=key.name,
        description=key.description,
        scopes=key.scopes,
        is_read_only=key.is_read_only,
        is_active=key.is_active,
        hourly_limit=key.hourly_limit,
        expires_at=now + (key.expires_at - key.created_at) if key.expires_at else None,
    )
    retired = ApiKey.objects.filter(id=key.id, rotated_at=None, revoked_at=None).update(
        rotated_at=now,
        replaced_by=successor,
        usage_count_at_rotation=key.usage_count,  # type: ignore[attr-defined]  # annotated by with_usage()
        expires_at=min(now + grace, key.expires_at or now + grace),
    )
    if not retired:
        raise KeyRotated()
    changes = {"replaced_by": str(successor.id), "grace_period_days": grace.days}
    _record(request, Action.KEY_ROTATED, "API key rotated.", key, changes)
    return successor, raw


@transaction.atomic
def set_expiration(request: Request, key: ApiKey, expires_at: datetime | None) -> None:
    """Let the key end at a moment, or never. Raises `KeyRotated` where that would give a rotated key more time."""
    if key.rotated_at and (expires_at is None or key.expires_at is None or expires_at > key.expires_at):
        raise KeyRotated()
    _save(key, expires_at=expires_at)
    changes = {"expires_at": expires_at.isoformat() if expires_at else None}
    _record(request, Action.KEY_EXPIRATION_SET, "API key expiration set.", key, changes)


@transaction.atomic
def revoke(request: Request, key: ApiKey) -> None:
    """End the key for good, on the next request."""
    _save(key, revoked_at=timezone.now())
    _record(request, Action.KEY_REVOKED, "API key revoked.", key)


def revoke_keys_of_member(user_id: uuid.UUID, workspace_id: uuid.UUID) -> None:
    """End all keys that a person made in a workspace they left."""
    ApiKey.objects.for_workspace(workspace_id).filter(created_by_id=user_id).update(revoked_at=timezone.now())


def forget_who_used_keys(user_id: uuid.UUID) -> None:
    """Forget where a person's keys were used from: the keys go with their account, the counts stay."""
    forget_who_used(ApiKey.objects.filter(created_by_id=user_id).values("id"))


def revoke_keys_beyond_role(user_id: uuid.UUID, workspace_id: uuid.UUID) -> None:
    """End the keys of a person that carry more than their lowered role holds."""
    role = Membership.objects.get(user_id=user_id, workspace_id=workspace_id).role
    for key in ApiKey.objects.for_workspace(workspace_id).filter(created_by_id=user_id):
        if not with_implied(frozenset(key.scopes)) <= with_implied(ROLE_SCOPES[role]):
            _save(key, revoked_at=timezone.now())


def count_keys(workspace_id: uuid.UUID) -> int:
    """Return how many keys a workspace has."""
    return int(ApiKey.objects.for_workspace(workspace_id).count())
