"""Appending to the audit trail, and erasing a person from it without breaking its chain, which audit_chain.py verifies.

Each row's hash is SHA-256 of the hash before and of the row's content. Personal data enters the content as salted
digests only; erasing a person sets values and salt to null and leaves the digests, which then tell nobody anything.
"""

import hashlib
import json
import logging
import os
import uuid
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, TypedDict, Unpack

from django.db import connection, transaction
from django.db.models import Q
from rest_framework.request import Request

from accounts.models import AuditEvent, User
from accounts.models.audit import new_event_id
from accounts.principal import Client
from spatialflow import clock
from spatialflow.metrics import EVENTS

logger = logging.getLogger(__name__)

GENESIS = bytes(32)


class Action(StrEnum):
    SIGNED_IN = "auth.signed_in"
    SIGN_IN_FAILED = "auth.sign_in_failed"
    SIGNED_OUT = "auth.signed_out"
    REFRESH_REUSED = "auth.refresh_reused"
    SESSION_REVOKED = "session.revoked"
    SESSIONS_REVOKED = "session.all_revoked"
    SIGNED_UP = "account.signed_up"
    EMAIL_VERIFIED = "account.email_verified"
    EMAIL_CHANGE_ASKED = "account.email_change_asked"
    EMAIL_CHANGE_CANCELLED = "account.email_change_cancelled"
    EMAIL_CHANGED = "account.email_changed"
    PASSWORD_CHANGED = "account.password_changed"  # noqa: S105
    PASSWORD_RESET = "account.password_reset"  # noqa: S105
    SECOND_FACTOR_ENABLED = "account.second_factor_enabled"
    SECOND_FACTOR_DISABLED = "account.second_factor_disabled"
    RECOVERY_CODES_REPLACED = "account.recovery_codes_replaced"
    RECOVERY_CODE_USED = "account.recovery_code_used"
    IDENTITY_LINKED = "account.identity_linked"
    IDENTITY_UNLINKED = "account.identity_unlinked"
    MAIL_STOPPED = "account.mail_stopped"
    MAIL_ALLOWED = "account.mail_allowed"
    ACCOUNT_DELETED = "account.deleted"
    ACCOUNT_SUSPENDED = "account.suspended"
    ACCOUNT_REINSTATED = "account.reinstated"
    OPERATOR_NAMED = "account.operator_named"
    OPERATOR_REMOVED = "account.operator_removed"
    ACCOUNT_RECLAIMED = "account.reclaimed"
    KEY_CREATED = "api_key.created"
    KEY_UPDATED = "api_key.updated"
    KEY_REGENERATED = "api_key.regenerated"
    KEY_ROTATED = "api_key.rotated"
    KEY_EXPIRATION_SET = "api_key.expiration_set"
    KEY_REVOKED = "api_key.revoked"
    WORKSPACE_CREATED = "workspace.created"
    WORKSPACE_UPDATED = "workspace.updated"
    WORKSPACE_DELETED = "workspace.deleted"
    WORKSPACE_SUSPENDED = "workspace.suspended"
    WORKSPACE_REINSTATED = "workspace.reinstated"
    WORKSPACE_SELECTED = "workspace.selected"
    MEMBER_ADDED = "member.added"
    MEMBER_REMOVED = "member.removed"
    ROLE_CHANGED = "member.role_changed"
    INVITATION_CREATED = "invitation.created"
    INVITATION_RESENT = "invitation.resent"
    INVITATION_EXTENDED = "invitation.extended"
    INVITATION_CANCELLED = "invitation.cancelled"
    INVITATION_ACCEPTED = "invitation.accepted"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_VERIFIED = "audit.verified"
    SSO_CONFIGURED = "sso.configured"
    SSO_DELETED = "sso.deleted"
    SSO_STAGED = "sso.staged"
    SSO_SWAPPED = "sso.swapped"
    SSO_ROLLED_BACK = "sso.rolled_back"
    SSO_TESTED = "sso.tested"
    SSO_REQUIRED = "sso.required"
    SSO_NOT_REQUIRED = "sso.not_required"
    SSO_RECOVERY_ASKED = "sso.recovery_asked"
    SSO_RECOVERY_USED = "sso.recovery_used"
    SSO_LOGGED_OUT = "sso.logged_out"
    DOMAIN_ADDED = "domain.added"
    DOMAIN_REMOVED = "domain.removed"
    DOMAIN_PROVEN = "domain.proven"
    DOMAIN_PROOF_LOST = "domain.proof_lost"
    DOMAIN_SUSPENDED = "domain.suspended"
    GEOFENCES_BULK_CREATED = "geofence.bulk_created"
    GEOFENCES_IMPORTED = "geofence.imported"
    GEOFENCES_EXPORTED = "geofence.exported"


class Person(NamedTuple):
    """Whom an event concerns. `email` can be erased later, `id` means nothing without it."""

    id: uuid.UUID | None = None
    email: str | None = None


NOBODY = Person()

# The head's row lock puts concurrent appends in order; the head and the event are written by one statement or not at
# all.
APPEND = """
WITH {first} link AS (
    INSERT INTO accounts_audithead AS head (id, sequence, hash)
    SELECT 1, 1, sha256(%(event_genesis)s::bytea || %(event_content)s::bytea) {source}
    ON CONFLICT (id) DO UPDATE SET sequence = head.sequence + 1, hash = sha256(head.hash || %(event_content)s::bytea)
    RETURNING sequence, hash
)
INSERT INTO accounts_auditevent ({columns}, sequence, hash) SELECT {values}, appended.sequence, appended.hash
FROM (
    SELECT link.*, accounts_is_known(%(event_owner_id)s::uuid) AS owner_is_known,
           accounts_is_known(%(event_target_id)s::uuid) AS target_is_known
    FROM link
) AS appended
"""

# Personal columns by whose they are. Asked under the head's lock, which the deletion of an account holds when it
# erases: what it could not see yet finds the account gone, and the row is born erased.
OWNERS = {
    **dict.fromkeys(("actor_email", "ip_address", "user_agent", "actor_salt"), "owner"),
    **dict.fromkeys(("target_email", "target_salt"), "target"),
}

# What Postgres cannot infer of a parameter that may be null.
TYPES = {
    **dict.fromkeys(("id", "workspace_id", "actor_id", "target_id"), "::uuid"),
    **dict.fromkeys(("actor_salt", "actor_digest", "target_salt", "target_digest"), "::bytea"),
    "created_at": "::timestamptz",
    "changes": "::jsonb",
    "status_code": "::smallint",
}


class Details(TypedDict, total=False):
    """What may be said of an event. `actor` did it, `target` is the person it was done to; `changes` hold no personal
    data.
    """

    workspace_id: uuid.UUID | None
    actor: Person
    target: Person
    resource: tuple[str, object]
    changes: dict[str, Any] | None
    status_code: int | None


@dataclass(frozen=True)
class Event:
    """One event that is still to be appended, column by column."""

    row: dict[str, Any]

    @classmethod
    def of(cls, action: Action, client: Client, description: str, **details: Unpack[Details]) -> "Event":
        """Return the event. `description` holds no personal data."""
        resource_type, resource_id = details.get("resource", ("", ""))
        return cls(
            {
                "id": new_event_id(),
                "created_at": clock.now(),
                "workspace_id": details.get("workspace_id"),
                "action": str(action),
                "resource_type": resource_type,
                "resource_id": str(resource_id or ""),
                "description": description[:300],
                "changes": details.get("changes"),
                "http_method": client.method,
                "path": client.path.replace("\0", "")[:300],
                "status_code": details.get("status_code"),
                **_personal_columns(details.get("actor", NOBODY), details.get("target", NOBODY), client),
            }
        )

    def parameters(self) -> dict[str, Any]:
        """Return what the statement of `appending` leaves open; all names begin with `event_`."""
        changes = self.row["changes"]
        stored = {**self.row, "changes": None if changes is None else json.dumps(changes, default=str)}
        stored |= {"owner_id": self.row["actor_id"] or self.row["target_id"]}
        stored |= {"genesis": GENESIS, "content": content_digest(self.row)}
        return {f"event_{name}": value for name, value in stored.items()}

    def announce(self) -> None:
        """Log and count the event, which was appended, once that is committed."""
        transaction.on_commit(self._tell)

    def _tell(self) -> None:
        EVENTS.labels(self.row["action"]).inc()
        told = {name: self.row[name] for name in ("action", "workspace_id", "actor_id")}
        # With the id of the request, which leads to its other lines.
        logger.info("audit event", extra={"fields": {"event_id": self.row["id"], **told}})


@cache
def appending(first: str = "", source: str = "") -> str:
    """Return the statement that appends one event. `first` are common table expressions that come before it, `source`
    names the one that it depends on: "FROM" what has one row where the event is to be, and none where not.
    """
    columns = [field.column for field in AuditEvent._meta.concrete_fields if field.name not in ("sequence", "hash")]
    values = ", ".join(map(_value, columns))
    return APPEND.format(first=first, source=source, columns=", ".join(columns), values=values)


def record(action: Action, client: Client, description: str, **details: Unpack[Details]) -> None:
    """Append one event, within the caller's transaction if there is one. `description` holds no personal data.

    One statement. Of somebody who has no account any more the row keeps the id alone.
    """
    event = Event.of(action, client, description, **details)
    with connection.cursor() as cursor:
        cursor.execute(appending(), event.parameters())
    event.announce()


def record_for(request: Request, action: Action, description: str, **details: Unpack[Details]) -> None:
    """Append what the caller of a request did in the workspace they are in; `details` as for `record`."""
    principal = request.auth
    said: Details = {
        "workspace_id": principal.workspace_id,
        "actor": Person(principal.user_id, principal.email),
        "resource": ("user", principal.user_id),
        **details,
    }
    record(action, Client.of(request), description, **said)


def _personal_columns(actor: Person, target: Person, client: Client) -> dict[str, Any]:
    actor_salt, target_salt = os.urandom(16), os.urandom(16)
    return {
        "actor_id": actor.id,
        "actor_email": actor.email,
        "ip_address": client.ip,
        "user_agent": client.user_agent,
        "actor_salt": actor_salt,
        "actor_digest": personal_digest(actor_salt, actor.email, client.ip, client.user_agent),
        "target_id": target.id,
        "target_email": target.email,
        "target_salt": target_salt,
        "target_digest": personal_digest(target_salt, target.email),
    }


def _value(column: str) -> str:
    value = f"%(event_{column})s{TYPES.get(column, '')}"
    return f"CASE WHEN appended.{OWNERS[column]}_is_known THEN {value} END" if column in OWNERS else value


def personal_digest(salt: bytes, *values: str | None) -> bytes:
    return hashlib.sha256(salt + json.dumps(values).encode()).digest()


CHAINED = (
    *(
        "id",
        "created_at",
        "workspace_id",
        "actor_id",
        "action",
        "resource_type",
        "resource_id",
        "description",
        "changes",
    ),
    *("http_method", "path", "status_code", "actor_digest", "target_id", "target_digest"),
)


def content_digest(row: dict[str, Any]) -> bytes:
    """Return the digest of what the chain covers of a row."""
    content = [row[name].hex() if isinstance(row[name], bytes) else row[name] for name in CHAINED]
    content[CHAINED.index("created_at")] = row["created_at"].timestamp()
    content[CHAINED.index("changes")] = as_stored(row["changes"])
    return hashlib.sha256(json.dumps(content, default=str, sort_keys=True, separators=(",", ":")).encode()).digest()


def as_stored(changes: Any) -> Any:
    """Return JSON values as they are before and after Postgres keeps them, which writes 1e16 out as a whole number."""
    return json.loads(json.dumps(changes, default=str), parse_float=_whole_if_possible)


def _whole_if_possible(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(text)


def addresses_of(user_id: uuid.UUID, email: str) -> set[str]:
    """Return a person's address and those they had before, less those that are somebody else's by now."""
    former = AuditEvent.objects.filter(actor_id=user_id, actor_email__isnull=False)
    addresses = {email, *former.order_by().values_list("actor_email", flat=True).distinct()}
    return addresses - set(User.objects.filter(email__in=addresses).exclude(id=user_id).values_list("email", flat=True))


def erase_person(user_id: uuid.UUID, email: str) -> None:
    """Erase a person's address, IP addresses and clients from the trail for good: of what they did, of what nobody
    known did to them (a failed sign-in), and of invitations to their address and to those they had before.
    """
    nothing = {"actor_email": None, "ip_address": None, "user_agent": None, "actor_salt": None}
    addresses = addresses_of(user_id, email)
    concerned = Q(target_id=user_id) | Q(target_id=None, target_email__in=addresses)
    theirs = Q(actor_id=user_id) | concerned & Q(actor_id=None)
    AuditEvent.objects.filter(theirs, actor_salt__isnull=False).update(**nothing)
    AuditEvent.objects.filter(concerned, target_salt__isnull=False).update(target_email=None, target_salt=None)
