"""The dashboard's session: one sign-in, kept in a signed cookie that scripts cannot read.

The cookie names the sign-in as an access token would, and every page asks the database whether that still lives
(accounts/authentication.py). So signing out, a removal or a new password end a session on its next page, whatever
copies of the cookie there are.

A sign-in that another tab has moved to another workspace goes on there, in every tab: each form says which workspace it
was drawn in (dashboard/drawn_in.py). So it matters little in which order the answers to several tabs set the cookie.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from rest_framework import status

from accounts.authentication import authenticate_sign_in
from accounts.models import SignIn
from accounts.principal import Principal
from accounts.tokens import AccessToken, InvalidToken, TokenPair
from spatialflow import clock
from spatialflow.errors import ApiError
from sso.saml_sessions import logged_in_at

# Seconds; more often the cookie is not written anew, for a late answer sets one from before what other tabs did.
SEEN_EVERY = min(300, settings.DASHBOARD_IDLE_LIFETIME // 5)
FRESH_FOR = 15 * 60  # seconds that a proof of who is there counts as fresh


class NotFresh(ApiError):
    """What a stolen session must not be able to do; pages answer it by /confirm."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "Confirm that it is you first."
    default_code = "confirmation_required"


@dataclass(frozen=True)
class SignInName:
    """What names a sign-in to the one query that finds its principal, as an access token does."""

    sid: uuid.UUID
    sub: uuid.UUID
    wid: uuid.UUID
    switched_at: datetime | None


def begin(request: HttpRequest, pair: TokenPair) -> None:
    """Let the browser be signed in by a new sign-in: a new session, so that nobody can have prepared it. The sign-in
    that it had before ends, and the new one with the session at the latest.
    """
    _revoke(_name(request.session.get("sign_in")), "replaced")
    request.session.flush()
    rotate_token(request)
    name_sign_in(request, pair)
    latest = clock.now() + timedelta(seconds=settings.DASHBOARD_LIFETIME)
    SignIn.objects.filter(id=AccessToken.read(pair.access_token).sid, expires_at__gt=latest).update(expires_at=latest)
    now = int(clock.timestamp())
    request.session.update({"began_at": now, "seen_at": now, "proven_at": _proven_at(pair)})


def name_sign_in(request: HttpRequest, pair: TokenPair) -> None:
    """Keep which sign-in the session is of, in which workspace: at its beginning and after a switch."""
    token = AccessToken.read(pair.access_token)
    _keep(request, SignInName(token.sid, token.sub, token.wid, token.switched_at))


def find_principal(request: HttpRequest) -> Principal | None:
    """Return who is signed in, or None: nobody, not any more, or idle for too long, which ends the sign-in on the
    server, too. One query, and two more where another tab has moved the sign-in.
    """
    name = _name(request.session.get("sign_in"))
    if name is None:
        return None
    now = int(clock.timestamp())
    seen_at, began_at = request.session.get("seen_at", 0), request.session.get("began_at", 0)
    is_over = now - seen_at > settings.DASHBOARD_IDLE_LIFETIME or now - began_at > settings.DASHBOARD_LIFETIME
    try:
        principal = _authenticate(request, name)
    except InvalidToken:
        return None
    if is_over:
        _revoke(name, "dashboard_expired")
        request.session.flush()
        return None
    is_somebody = "HX-Request" not in request.headers  # a page that is left open refreshes its live parts by itself
    if is_somebody and now - seen_at >= SEEN_EVERY:
        request.session["seen_at"] = now
    return principal


def _authenticate(request: HttpRequest, name: SignInName) -> Principal:
    """Return the principal of the sign-in where it is now. Raises `InvalidToken` where it lives no longer; while other
    tabs move it on, it is followed.
    """
    own, here = SignIn.objects.live().filter(id=name.sid, user_id=name.sub), name
    while True:
        try:
            principal, _ = authenticate_sign_in(here)
        except InvalidToken:
            place = own.values_list("workspace_id", "switched_at").first()
            if place is None or place == (here.wid, here.switched_at):
                raise
            here = SignInName(name.sid, name.sub, *place)
        else:
            break
    if here != name:
        _keep(request, here)
    return principal


def _keep(request: HttpRequest, name: SignInName) -> None:
    moved = name.switched_at.isoformat() if name.switched_at else None
    request.session["sign_in"] = [str(name.sid), str(name.sub), str(name.wid), moved]


def _name(kept: Any) -> SignInName | None:
    if kept is None:
        return None
    sid, sub, wid, switched_at = kept
    moved = datetime.fromisoformat(switched_at) if switched_at else None
    return SignInName(uuid.UUID(sid), uuid.UUID(sub), uuid.UUID(wid), moved)


def _revoke(name: SignInName | None, reason: str) -> None:
    if name is not None:
        SignIn.objects.live().filter(id=name.sid, user_id=name.sub).revoke(reason)


def is_fresh(request: HttpRequest) -> bool:
    """Return whether whoever is there has proven who they are within the last FRESH_FOR seconds."""
    return clock.timestamp() - request.session.get("proven_at", 0) <= FRESH_FOR


def require_fresh(request: HttpRequest) -> None:
    """Raise `NotFresh` where the last proof of who is there is too old; pages then lead to /confirm and back."""
    if not is_fresh(request):
        raise NotFresh()


def freshen(request: HttpRequest, pair: TokenPair | None = None) -> None:
    """Note that the person at the browser has just proven again who they are; by a sign-in, when that was proven."""
    request.session["proven_at"] = _proven_at(pair) if pair else int(clock.timestamp())


def _proven_at(pair: TokenPair) -> int:
    """Return when the person of a sign-in has proven who they are: at a workspace's identity provider perhaps long ago,
    for that one goes by a session of its own.
    """
    moment = logged_in_at(AccessToken.read(pair.access_token).sid)
    return int(min(clock.timestamp(), moment.timestamp() if moment else clock.timestamp()))


def end(request: HttpRequest) -> None:
    request.session.flush()
