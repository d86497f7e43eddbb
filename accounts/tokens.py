"""The token pair: issuing, verifying, rotating and revoking it. `rotate` is the heart.

simplejwt signs and checks; what it leaves open is closed here. Rotation is ours, on `SignIn`, because simplejwt's
lets two concurrent refreshes of one token both succeed. Access and refresh tokens are signed with different keys
(accounts/key_ring.py), so neither can ever pass as the other.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

import jwt
from django.conf import settings
from django.db import connection
from django.db.models import Q
from rest_framework import status
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenBackendError, TokenError
from rest_framework_simplejwt.tokens import Token

from accounts.audit import Action, Event, Person, record
from accounts.devices import begin
from accounts.joined_rows import find_joined
from accounts.key_ring import KeyRing, key_ring
from accounts.models import Membership, SignIn, User, Workspace
from accounts.principal import Client, Principal
from accounts.sso_requirement import OVERRULED
from spatialflow import clock
from spatialflow.errors import ApiError

logger = logging.getLogger(__name__)

MAX_TOKEN_LENGTH = 4096
CLOCK_SKEW_SECONDS = 30  # for `iat` alone: all hosts go by the database's clock, and nothing lives longer for it


class InvalidToken(ApiError):
    """A bad token, whatever is wrong with it (RFC 6750 section 3.1)."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Invalid or expired token"
    default_code = "invalid_token"

    def __init__(self, detail: str | None = None, code: str | None = None) -> None:
        challenge = 'Bearer realm="spatialflow", error="invalid_token"'
        super().__init__(detail, code, headers={"WWW-Authenticate": challenge})


class TokenExpired(InvalidToken):
    default_detail = "Token expired"
    default_code = "token_expired"


class SignedToken(Token):
    """What both kinds of token share: all nine claims are required, typed, and checked exactly.

    A sign-in that moved to another workspace has one more, `switched_at` in microseconds, and lives in it: the whole
    seconds of `iat` could not tell a token of just before from one of just after.
    """

    purpose: str
    switched_at: datetime | None = None

    @property
    def token_backend(self) -> KeyRing:
        return key_ring(self.purpose)

    @classmethod
    def read(cls, raw: str) -> Self:
        """Return the verified token. Raises `TokenExpired` for one of ours past its time, `InvalidToken` for anything
        else.
        """
        if len(raw) > MAX_TOKEN_LENGTH:
            raise InvalidToken()
        try:
            return cls(raw)  # type: ignore[arg-type]  # simplejwt annotates the encoded text as a Token
        except ExpiredTokenError:
            raise TokenExpired() from None
        except (TokenError, TokenBackendError, ValueError, TypeError, OverflowError, RecursionError, jwt.PyJWTError):
            raise InvalidToken() from None

    def verify(self) -> None:
        if any(type(self.payload[claim]) is not int or self.payload[claim] >= 2**40 for claim in ("iat", "exp")):
            raise TokenError("times are whole seconds")
        if self.payload["iat"] > clock.timestamp() + CLOCK_SKEW_SECONDS:
            raise TokenError("minted in the future")
        if self.payload["exp"] <= clock.timestamp():
            raise ExpiredTokenError("past its time")
        if any(not isinstance(self.payload[claim], str) for claim in ("sub", "sid", "wid", "jti")):
            raise TokenError("ids are text")
        self.verify_token_type()
        self.sub, self.sid, self.wid, self.jti = (
            uuid.UUID(self.payload[claim]) for claim in ("sub", "sid", "wid", "jti")
        )
        if "switched_at" in self.payload:
            if type(self.payload["switched_at"]) is not int:
                raise TokenError("a moment is a number")
            self.switched_at = clock.EPOCH + timedelta(microseconds=self.payload["switched_at"])

    @classmethod
    def mint(cls, sign_in: "SignIn | Rotated", jti: uuid.UUID, issued_at: datetime, expires_at: datetime) -> str:
        """Return a token of this sign-in; the same arguments always give the same claims."""
        claims = {
            "typ": cls.token_type,
            "sub": str(sign_in.user_id),
            "sid": str(sign_in.id),
            "wid": str(sign_in.workspace_id),
            "jti": str(jti),
            "iat": int(issued_at.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        if sign_in.switched_at is not None:
            claims["switched_at"] = (sign_in.switched_at - clock.EPOCH) // timedelta(microseconds=1)
        return key_ring(cls.purpose).encode(claims)


class AccessToken(SignedToken):
    token_type = purpose = "access"  # noqa: S105
    lifetime = timedelta(hours=4)  # simplejwt wants one; `mint` sets the workspace's


class RefreshToken(SignedToken):
    token_type = purpose = "refresh"  # noqa: S105
    lifetime = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The two tokens of a sign-in. `expires_in` is the access token's lifetime in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    refresh_expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenPair(Tokens):
    """What a sign-in answers."""

    user: User
    membership: Membership


@dataclass(frozen=True, slots=True)
class Renewal(Tokens):
    """What a refresh answers. `person` is who is signed in, member by member as the contract's UserResponse."""

    person: dict[str, Any]


class Rotated(NamedTuple):
    """What tokens are made of, as ROTATE and FORGIVE return it; columns of ROTATED, in order."""

    id: uuid.UUID
    user_id: uuid.UUID
    workspace_id: uuid.UUID
    current_jti: uuid.UUID
    rotated_at: datetime
    expires_at: datetime
    switched_at: datetime | None
    access_token_lifetime: timedelta | None


def issue(membership: Membership, method: str, client: Client, *, ends_by: datetime | None = None) -> TokenPair:
    """Begin a new sign-in of the membership's user, proven by `method`, and return its first token pair. It lasts until
    `ends_by` where that comes before REFRESH_TOKEN_LIFETIME is over. Raises `AccountChanged` where the user is not as
    loaded any more: a password reset overtook the sign-in; `SsoRequired` where this method does not suffice for their
    address.
    """
    now = clock.now()
    latest = now + settings.REFRESH_TOKEN_LIFETIME
    sign_in = SignIn(
        user_id=membership.user_id,
        workspace_id=membership.workspace_id,
        method=method,
        created_at=now,
        rotated_at=now,
        last_used_at=now,
        ip=client.ip,
        user_agent=client.user_agent,
        expires_at=min(latest, ends_by or latest),
    )
    event = Event.of(
        Action.SIGNED_IN,
        client,
        f"Signed in by {method}.",
        workspace_id=membership.workspace_id,
        actor=Person(membership.user_id, membership.user.email),
        resource=("session", sign_in.id),
        status_code=200,
    )
    begin(sign_in, membership.user, event)
    logger.info("sign-in %s of user %s by %s from %s", sign_in.id, membership.user_id, method, client.ip)
    return _pair(sign_in, membership)


# SQL over s, a sign-in, and w, its workspace: everybody's sign-ins were not ended since it began. One that was on its
# way at that moment came too late to be ended with the others.
NOT_ENDED = "(w.sign_ins_ended_at IS NULL OR s.created_at > w.sign_ins_ended_at)"

ROTATED = (
    "s.id, s.user_id, s.workspace_id, s.current_jti, s.rotated_at, s.expires_at, s.switched_at, w.access_token_lifetime"
)
# Who is signed in: the members of a UserResponse, each as SQL. Hot, so no instances of four models are made of it;
# a test compares it with what a login answers.
PERSON = {
    "id": "u.id",
    "email": "u.email",
    "name": "u.name",
    "role": "m.role",
    "roles": "ARRAY[m.role]",
    "email_verified": "u.email_verified_at IS NOT NULL",
    "selected_plan": "u.selected_plan",
    "company": "nullif(u.company, '')",
    "language_preference": "u.language_preference",
    "created_at": "u.created_at",
    "updated_at": "u.updated_at",
    "is_superuser": "u.is_superuser",
    "is_staff": "u.is_staff",
    "workspace_id": "s.workspace_id",
    "workspace_slug": "w.slug",
    "workspace_role": "m.role",
}
RENEWED = ", ".join([ROTATED, *PERSON.values()])

# One UPDATE decides who rotates: Postgres checks `current_jti` again once it holds the row's lock, so of any number
# of concurrent refreshes one sees its `jti` as current. The joined rows are only read, to re-check that user,
# membership and workspace still allow it and to answer without a second query.
ROTATE = f"""
UPDATE accounts_signin AS s
SET current_jti = %(new_jti)s, previous_jti = s.current_jti, rotated_at = now(), last_used_at = now(),
    ip = %(ip)s, user_agent = %(user_agent)s
FROM accounts_user u, accounts_membership m, accounts_workspace w
WHERE s.id = %(sid)s AND s.user_id = %(sub)s AND s.workspace_id = %(wid)s AND s.current_jti = %(jti)s
  AND s.revoked_at IS NULL AND s.expires_at > now()
  AND u.id = s.user_id AND u.is_active AND m.user_id = s.user_id AND m.workspace_id = s.workspace_id
  AND w.id = s.workspace_id AND w.suspended_at IS NULL AND {NOT_ENDED} AND NOT {OVERRULED}
RETURNING {RENEWED}
"""  # noqa: S608
# A token that is not current: is it the one before, rotated so recently that its answer was lost or a second tab raced?
FORGIVE = f"""
SELECT {RENEWED}
FROM accounts_signin s
JOIN accounts_user u ON u.id = s.user_id AND u.is_active
JOIN accounts_membership m ON m.user_id = s.user_id AND m.workspace_id = s.workspace_id
JOIN accounts_workspace w ON w.id = s.workspace_id AND w.suspended_at IS NULL
WHERE s.id = %(sid)s AND s.user_id = %(sub)s AND s.workspace_id = %(wid)s AND s.previous_jti = %(jti)s
  AND s.revoked_at IS NULL AND s.expires_at > now()
  AND s.rotated_at >= now() - %(grace)s AND {NOT_ENDED} AND NOT {OVERRULED}
"""  # noqa: S608


def rotate(token: RefreshToken, client: Client) -> Renewal:
    """Trade a refresh token for the next pair (RFC 9700 section 4.14.2). Raises `InvalidToken`.

    The previous token, presented again within REFRESH_GRACE_LIFETIME while its successor is unused, gets that same
    successor: a reply was lost or a second tab raced. Any other token that is not current was stolen or replayed: the
    whole sign-in is revoked, which commits although the caller gets an error.
    """
    parameters = {
        "new_jti": uuid.uuid4(),
        "ip": client.ip,
        "user_agent": client.user_agent,
        "sid": token.sid,
        "sub": token.sub,
        "wid": token.wid,
        "jti": token.jti,
        "grace": settings.REFRESH_GRACE_LIFETIME,
    }
    with connection.cursor() as cursor:
        row = _first_row(cursor, ROTATE, parameters) or _first_row(cursor, FORGIVE, parameters)
    if row is None:
        _punish_reuse(token, client)
        raise InvalidToken()
    rotated, person = Rotated(*row[: len(Rotated._fields)]), row[len(Rotated._fields) :]
    return Renewal(*_tokens(rotated, rotated.access_token_lifetime), dict(zip(PERSON, person, strict=True)))


def _first_row(cursor: Any, statement: str, parameters: dict[str, Any]) -> tuple[Any, ...] | None:
    cursor.execute(statement, parameters)
    row: tuple[Any, ...] | None = cursor.fetchone()
    return row


# As in ROTATE one UPDATE decides. There is no grace for what came before, not even for the refresh token just replaced:
# a token must never answer for a workspace that it was not minted for.
SWITCH = f"""
UPDATE accounts_signin AS s
SET workspace_id = w.id, current_jti = %(new_jti)s, previous_jti = NULL, switched_at = clock_timestamp(),
    rotated_at = now(), last_used_at = now(), ip = %(ip)s, user_agent = %(user_agent)s
FROM accounts_user u, accounts_membership m, accounts_workspace w
WHERE s.id = %(sid)s AND s.workspace_id = %(from)s AND s.switched_at IS NOT DISTINCT FROM %(switched_at)s::timestamptz
  AND s.revoked_at IS NULL AND s.expires_at > now() AND u.id = s.user_id AND u.is_active
  AND m.user_id = s.user_id AND m.workspace_id = %(to)s AND w.id = %(to)s AND w.suspended_at IS NULL
  AND {NOT_ENDED} AND NOT {OVERRULED}
RETURNING {{columns}}
"""  # noqa: S608


def switch(principal: Principal, workspace_id: uuid.UUID, client: Client) -> TokenPair:
    """Move the caller's sign-in to another of their workspaces, or renew it in the same one, and return its next pair.

    Every token minted before is dead, and of several calls with one access token one succeeds. Raises `InvalidToken`
    to the others, where the sign-in is no longer live, and where the workspace ended all sign-ins since it began.
    """
    parameters = {
        "new_jti": uuid.uuid4(),
        "ip": client.ip,
        "user_agent": client.user_agent,
        "sid": principal.credential_id,
        "from": principal.workspace_id,
        "switched_at": principal.switched_at,
        "to": workspace_id,
    }
    found = _find(SWITCH, parameters)
    if found is None:
        raise InvalidToken()
    return _pair(*found)


def _find(statement: str, parameters: dict[str, Any]) -> tuple[SignIn, Membership] | None:
    """Run a statement over s (sign-in), u (user), m (membership), w (workspace)."""
    row = find_joined(statement, parameters, (("s", SignIn), ("u", User), ("m", Membership), ("w", Workspace)))
    if row is None:
        return None
    membership = row.get("m")
    membership.user, membership.workspace = row.get("u"), row.get("w")
    return row.get("s"), membership


def _punish_reuse(token: RefreshToken, client: Client) -> None:
    """Revoke the sign-in of a validly signed refresh token that is neither current nor just rotated.

    Just after a switch of workspace a refresh may have lost a mere race with it: it is refused and no more.
    """
    recently = clock.now() - settings.REFRESH_GRACE_LIFETIME
    raced = Q(previous_jti=token.jti, rotated_at__gte=recently) | Q(
        switched_at__isnull=False, switched_at__gte=recently
    )
    family = SignIn.objects.live().filter(id=token.sid, user_id=token.sub).exclude(current_jti=token.jti)
    if family.exclude(raced).revoke("refresh_reuse"):
        logger.warning("refresh token reuse: sign-in %s of user %s revoked, from %s", token.sid, token.sub, client.ip)
        user = User.objects.filter(id=token.sub).first()
        record(
            Action.REFRESH_REUSED,
            client,
            "A spent refresh token was presented again; its sign-in was ended.",
            workspace_id=token.wid,
            target=Person(token.sub, user.email if user else None),
            resource=("session", token.sid),
            status_code=InvalidToken.status_code,
        )


def _pair(sign_in: SignIn, membership: Membership) -> TokenPair:
    tokens = _tokens(sign_in, membership.workspace.access_token_lifetime)
    return TokenPair(*tokens, user=membership.user, membership=membership)


def _tokens(sign_in: SignIn | Rotated, own_lifetime: timedelta | None) -> tuple[str, str, int, datetime]:
    """Return what `Tokens` hold; `own_lifetime` is that of the workspace's access tokens."""
    now = clock.now()
    lifetime = min(own_lifetime or settings.ACCESS_TOKEN_LIFETIME, sign_in.expires_at - now)
    return (
        AccessToken.mint(sign_in, uuid.uuid4(), now, now + lifetime),
        RefreshToken.mint(sign_in, sign_in.current_jti, sign_in.rotated_at, sign_in.expires_at),
        int(lifetime.total_seconds()),
        sign_in.expires_at,
    )
