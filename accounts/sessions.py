"""A person's own sign-ins, which the API calls sessions: seen and ended by themselves."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Greatest
from rest_framework.request import Request

from accounts.audit import Action, record_for
from accounts.hooks import sign_ins_ended
from accounts.models import CredentialUsage, SignIn, User
from accounts.models.sign_in import SignInQuerySet
from accounts.tokens import AccessToken, TokenPair
from spatialflow.api import read_id
from spatialflow.errors import NotFound

MAX_LISTED = 500


@dataclass(frozen=True)
class SessionList:
    """The sign-ins used last, and how many live in all."""

    sessions: list[SignIn]
    total: int


def list_own(request: Request) -> SessionList:
    """Return the caller's live sign-ins in every workspace (those in this one, of a caller who is confined to it), the
    one used last first, at most MAX_LISTED.

    `used_at` is the newer of the last refresh and the last counted request.
    """
    hours = CredentialUsage.objects.filter(credential_id=OuterRef("id")).order_by("-started_at", "-last_used_at")
    used_at = Greatest(F("last_used_at"), Subquery(hours.values("last_used_at")[:1]))
    own = _own(request).select_related("workspace").annotate(used_at=used_at).order_by("-used_at", "id")
    listed = list(own[:MAX_LISTED])
    return SessionList(listed, len(listed) if len(listed) < MAX_LISTED else own.count())


def _own(request: Request) -> SignInQuerySet:
    own: SignInQuerySet = SignIn.objects.live().filter(user_id=request.auth.user_id)
    return own.filter(workspace_id=request.auth.workspace_id) if request.auth.is_confined else own


def _lock_person(request: Request) -> None:
    """Let a sign-in that an invitation or another proof of this person is about to begin come before, and end as well,
    or after, and see that its proof has ended.
    """
    list(User.objects.select_for_update(no_key=True).filter(id=request.auth.user_id).values_list("id"))


@transaction.atomic
def end(request: Request, session_id: str) -> None:
    """End one of the caller's sign-ins, be it the current one. Raises `NotFound`, alike for absent and foreign ones."""
    identifier = read_id(session_id)
    _lock_person(request)
    if not _own(request).filter(id=identifier).revoke("ended_by_user"):
        raise NotFound()
    record_for(request, Action.SESSION_REVOKED, "Session ended by its user.", resource=("session", identifier))


@transaction.atomic
def end_others(request: Request) -> int:
    """End all sign-ins of the caller but the current one, and return how many there were."""
    _lock_person(request)
    sign_ins_ended.run(request.auth.user_id)
    ended = _own(request).exclude(id=request.auth.credential_id).revoke("ended_by_user")
    record_for(request, Action.SESSIONS_REVOKED, "All other sessions ended.", changes={"sign_ins_ended": ended})
    return ended


def drop_confirming(pair: TokenPair) -> None:
    """End a sign-in that has served its purpose: somebody who was signed in already proved by it who they are."""
    SignIn.objects.filter(id=AccessToken.read(pair.access_token).sid).revoke("confirmed_only")


@transaction.atomic
def sign_out(request: Request) -> None:
    """End all sign-ins of the caller, the current one too."""
    _lock_person(request)
    sign_ins_ended.run(request.auth.user_id)
    ended = _own(request).revoke("logout")
    record_for(request, Action.SIGNED_OUT, "Signed out everywhere.", changes={"sign_ins_ended": ended})
