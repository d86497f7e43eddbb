"""What happens to an API key between its making and its end. The API and the dashboard both call these functions."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request

from accounts.audit import Action, Person, record_for
from accounts.members import lock_caller
from accounts.models import Membership
from accounts.permissions import InsufficientPermissions
from accounts.principal import Principal
from accounts.scopes import API_KEYS_WRITE, ROLE_SCOPES, with_implied
from accounts.usage import count_uses, forget_who_used
from apikeys import keys
from apikeys.models import ApiKey, ApiKeyQuerySet
from spatialflow.api import read_id
from spatialflow.edited import is_same, left_as_seen, refuse_edited
from spatialflow.errors import ApiError, Conflict, NotFound

MAX_GRACE_DAYS = 90
FOREVER = datetime.max.replace(tzinfo=UTC)


class TooManyKeys(Conflict):
    default_detail = "This workspace has as many API keys as it may have. Revoke one that is not used any more."
    default_code = "too_many_api_keys"


class KeyMadeAlready(Conflict):
    default_detail = "This API key was made already, and shown then. Nothing has changed."
    default_code = "api_key_made_already"


class KeyChanged(Conflict):
    default_detail = "This API key got a new secret since you looked at it. Look at the list before you try again."
    default_code = "api_key_changed"


class KeyWidened(ApiError):
    """Raised only where the caller has said that it must not happen."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "This would let the API key do more than it can now."
    default_code = "api_key_widened"


class KeyRotated(Conflict):
    default_detail = (
        "This API key was rotated already: its name, description and state can change, its rights and secret cannot, "
        "and it can only end sooner."
    )
    default_code = "api_key_rotated"


class KeyExpired(Conflict):
    default_detail = "This API key has expired: set a later expiration first, or make a new key."
    default_code = "api_key_expired"


def workspace_keys(principal: Principal) -> ApiKeyQuerySet:
    """Return the keys of the workspace with their use and makers, newest first: for its owners."""
    keys: ApiKeyQuerySet = ApiKey.objects.for_workspace(principal.workspace_id)
    return keys.with_usage().select_related("created_by").order_by("-created_at", "id")


def own_keys(principal: Principal) -> ApiKeyQuerySet:
    """Return the caller's keys in the workspace."""
    return workspace_keys(principal).filter(created_by_id=principal.user_id)


def get_own_key(principal: Principal, key_id: str) -> ApiKey:
    """Return one of the caller's keys in the workspace. Raises `NotFound`, alike for absent and for somebody else's."""
    return _get(own_keys(principal), key_id)


def get_workspace_key(principal: Principal, key_id: str) -> ApiKey:
    """Return any key of the workspace, for its owners. Raises `NotFound`."""
    return _get(workspace_keys(principal), key_id)


def _get(visible: ApiKeyQuerySet, key_id: str) -> ApiKey:
    found: ApiKey | None = visible.filter(id=read_id(key_id)).first()
    if found is None:
        raise NotFound()
    return found


def find_predecessor(principal: Principal, key: ApiKey) -> ApiKey | None:
    """Return the key that this one replaces, with its use, while that is not revoked."""
    return workspace_keys(principal).filter(replaced_by_id=key.id).first()


def widens(principal: Principal, key: ApiKey, changes: dict[str, Any]) -> bool:
    """Return whether changes would let a key do more, more often, longer or again than it can now."""
    plan_limit = settings.PLAN_LIMITS[principal.plan]
    now = {name: getattr(key, name) for name in ("scopes", "is_read_only", "is_active", "hourly_limit", "expires_at")}
    then = now | changes
    return (
        not with_implied(frozenset(then["scopes"])) <= with_implied(frozenset(now["scopes"]))
        or (now["is_read_only"] and not then["is_read_only"])
        or (then["is_active"] and not now["is_active"])
        or (then["hourly_limit"] or plan_limit) > (now["hourly_limit"] or plan_limit)
        or (then["expires_at"] or FOREVER) > (now["expires_at"] or FOREVER)
    )


def _lock(key: ApiKey) -> ApiKey:
    """Return the key as it is now, its row locked until the transaction ends. Raises `NotFound` for a revoked one."""
    locked: ApiKey | None = ApiKey.objects.select_for_update(no_key=True).filter(id=key.id, revoked_at=None).first()
    if locked is None:
        raise NotFound()
    return locked


def _refuse_unverified(principal: Principal) -> None:
    if not principal.email_is_verified:
        raise InsufficientPermissions("Verify your email address before making API keys.", "email_not_verified")


@transaction.atomic
def create_key(request: Request, key_id: uuid.UUID | None = None, **fields: Any) -> tuple[ApiKey, str]:
    """Return a new key of the caller and its plain text. Raises `InsufficientPermissions`, `TooManyKeys`.

    Where the caller names its id beforehand, one key at most comes of it, revoked or not: `KeyMadeAlready`.
    """
    _refuse_unverified(request.auth)
    _refuse_beyond_role(lock_caller(request, API_KEYS_WRITE), fields["scopes"])  # the lock lets the count hold, too
    key_id = key_id or uuid.uuid4()
    if ApiKey.objects.filter(id=key_id).exists():
        raise KeyMadeAlready()
    live = ApiKey.objects.for_workspace(request.auth.workspace_id).exclude(expires_at__lte=timezone.now())
    if live.count() >= settings.MAX_API_KEYS_PER_WORKSPACE:
        raise TooManyKeys()
    key, raw = _issue(request.auth, id=key_id, **fields)
    changes = {"name": key.name, "permissions": key.scopes}
    if key.expires_at:
        changes["expires_at"] = key.expires_at.isoformat()
    _record(request, Action.KEY_CREATED, "API key created.", key, changes)
    return key, raw


def _refuse_beyond_role(caller: Membership, scopes: list[str]) -> None:
    """Refuse what the caller's role, perhaps lowered since the body was read, does not hold."""
    if beyond := sorted(with_implied(frozenset(scopes)) - with_implied(ROLE_SCOPES[caller.role])):
        raise InsufficientPermissions(
            f"Insufficient permissions: your role ({caller.role}) does not hold {beyond[0]}.", scope=beyond[0]
        )


def _issue(principal: Principal, **fields: Any) -> tuple[ApiKey, str]:
    made: tuple[ApiKey, str] = ApiKey.objects.issue(
        workspace_id=principal.workspace_id, created_by_id=principal.user_id, **fields
    )
    return made


@transaction.atomic
def update_key(
    request: Request, key: ApiKey, seen: dict[str, Any] | None = None, may_widen: bool = True, **changes: Any
) -> None:
    """Change what differs. Raises `NotFound`, `InsufficientPermissions`, and `KeyRotated` for new rights of a key that
    is on its way out.

    Of what the caller has `seen`, what they left as it was is no change, and what somebody else has changed since is
    not written over: `EditedMeanwhile`. Without `may_widen` a key can only lose rights: `KeyWidened`.
    """
    caller = lock_caller(request, API_KEYS_WRITE)
    locked = _lock(key)
    changed = _meant(locked, seen or {}, changes)
    _refuse_beyond_role(caller, changed.get("scopes", []))
    if not may_widen and widens(request.auth, locked, changed):
        raise KeyWidened()
    if locked.rotated_at and changed.keys() - {"name", "description", "is_active"}:
        raise KeyRotated()
    if changed:
        _save(key, **changed)
        _record(request, Action.KEY_UPDATED, "API key changed.", key, changed)


def _meant(locked: ApiKey, seen: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes that their author meant and that differ from what is. Raises `EditedMeanwhile`."""
    meant = {name: changes[name] for name in changes.keys() - left_as_seen(seen, changes)}
    refuse_edited(seen, meant, lambda name: getattr(locked, name))
    return {name: value for name, value in meant.items() if not is_same(value, getattr(locked, name))}


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
def regenerate(request: Request, key: ApiKey, seen_prefix: str | None = None) -> str:
    """Replace a key's secret at once and return the new plain text.

    Raises `InsufficientPermissions`, `KeyChanged` to all but one of a race and to who saw another secret's prefix,
    `KeyRotated` and `KeyExpired` where a new secret would be of no use.
    """
    _refuse_unverified(request.auth)
    caller = lock_caller(request, API_KEYS_WRITE)
    locked = _lock(key)
    _refuse_beyond_role(caller, locked.scopes)
    if locked.digest != key.digest or seen_prefix not in (None, locked.prefix):
        raise KeyChanged()
    _refuse_ending(locked)
    raw = keys.generate()
    _save(key, digest=keys.digest(raw), prefix=keys.shown_prefix(raw))
    _record(request, Action.KEY_REGENERATED, "API key regenerated; the old secret works no more.", key)
    return raw


def _refuse_ending(key: ApiKey) -> None:
    if key.rotated_at:
        raise KeyRotated()
    if key.state == "expired":
        raise KeyExpired()


@transaction.atomic
def rotate(request: Request, key: ApiKey, grace: timedelta) -> tuple[ApiKey, str]:
    """Return a new key with the old one's rights and end; the old one works on for `grace`, but not beyond its own end.

    It takes the old one's place under the workspace's cap, so that a leaked key can always be rotated. Raises
    `NotFound`, `KeyRotated`, `KeyExpired`, `InsufficientPermissions`.
    """
    _refuse_unverified(request.auth)
    caller = lock_caller(request, API_KEYS_WRITE)
    locked = _lock(key)
    _refuse_beyond_role(caller, locked.scopes)
    _refuse_ending(locked)
    inherited = ("name", "description", "scopes", "is_read_only", "is_active", "hourly_limit", "expires_at")
    successor, raw = _issue(request.auth, **{name: getattr(locked, name) for name in inherited})
    now = timezone.now()
    _save(
        key,
        rotated_at=now,
        replaced_by=successor,
        usage_count_at_rotation=locked.folded_requests + count_uses(key.id, locked.folded_until),
        expires_at=min(now + grace, locked.expires_at or now + grace),
    )
    changes = {"replaced_by": str(successor.id), "grace_period_days": grace.days}
    _record(request, Action.KEY_ROTATED, "API key rotated.", key, changes)
    return successor, raw


@transaction.atomic
def set_expiration(request: Request, key: ApiKey, expires_at: datetime | None, may_widen: bool = True) -> None:
    """Let the key end at a moment, or never. Raises `KeyRotated` where that would give a rotated key more time,
    `InsufficientPermissions`, and `KeyWidened` for more time of any key without `may_widen`.
    """
    lock_caller(request, API_KEYS_WRITE)
    locked = _lock(key)
    if not may_widen and widens(request.auth, locked, {"expires_at": expires_at}):
        raise KeyWidened()
    if locked.rotated_at and (expires_at is None or locked.expires_at is None or expires_at > locked.expires_at):
        raise KeyRotated()
    _save(key, expires_at=expires_at)
    changes = {"expires_at": expires_at.isoformat() if expires_at else None}
    _record(request, Action.KEY_EXPIRATION_SET, "API key expiration set.", key, changes)


@transaction.atomic
def revoke(request: Request, key: ApiKey) -> None:
    """End the key for good, on the next request. Raises `NotFound` when somebody has just done so."""
    _lock(key)
    _save(key, revoked_at=timezone.now())
    _record(request, Action.KEY_REVOKED, "API key revoked.", key)


def revoke_keys_of_member(user_id: uuid.UUID, workspace_id: uuid.UUID) -> None:
    """End all keys that a person made in a workspace they left."""
    ApiKey.objects.for_workspace(workspace_id).filter(created_by_id=user_id).update(revoked_at=timezone.now())


def revoke_keys_of_person(user_id: uuid.UUID) -> None:
    """End all keys that a person made, in every workspace."""
    ApiKey.objects.filter(created_by_id=user_id, revoked_at=None).update(revoked_at=timezone.now())


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
