"""What Apple's server tells: that somebody has taken back their consent, or has no account there any more, and whether
it forwards mail to their private address.
"""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from rest_framework import status
from social_django.models import UserSocialAuth

from accounts.audit import Action, Person, record
from accounts.models import SignIn, User
from accounts.outbox import enqueue
from accounts.principal import Client
from sso.identities import unbind
from sso.idtoken import InvalidIdToken, Signed, refusal, verify_signed
from sso.models import AppleRefreshToken, SpentToken
from sso.providers import APPLE, native_provider

logger = logging.getLogger(__name__)

MAX_AGE = timedelta(days=7)  # Apple repeats what it could not deliver
ENDS_THE_IDENTITY = {"consent-revoked", "account-delete", "account-deleted"}
STOPS_MAIL, ALLOWS_MAIL = "email-disabled", "email-enabled"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RELAY = "@privaterelay.appleid.com"


class InvalidNotification(InvalidIdToken):
    """For the operator: nobody but Apple's server, or who tries to pass for it, gets to read it."""

    default_detail = (
        "This is no notification that Apple has signed for a client id in APPLE_CLIENT_IDS within the last seven days. "
        "The log says what is wrong with it."
    )
    default_code = "invalid_notification"


class Event(NamedTuple):
    """What happened to a subject, and when; `email` is the private address it is about."""

    kind: str
    subject: str
    happened_at: datetime
    email: str


def act_on_notification(payload: str, client: Client) -> None:
    """Verify what Apple says, and act on it: once, however often it comes. Raises `NotConfigured`,
    `InvalidNotification`, `KeysUnavailable`.

    An identity that ended is unbound and its sign-ins end; its person is told how else to come in. To a private address
    that Apple does not forward to no mail is sent. What is not known is nothing to act on, and neither is what happened
    before the identity was bound, or before the last of the same kind: Apple repeats for days what it could not
    deliver.
    """
    try:
        required = ("iss", "aud", "iat", "jti", "events")
        signed = verify_signed(native_provider(APPLE), payload, required, int(MAX_AGE.total_seconds()))
        event = _read(signed)
    except InvalidIdToken:
        raise InvalidNotification() from None
    logger.info("Apple tells of %.40s", event.kind)
    with transaction.atomic():
        is_new = SpentToken.objects.spend(f"{APPLE} notification", str(signed.claims["jti"]), 2 * MAX_AGE)
        user = _find_person(event) if is_new else None
        if user is not None and event.kind in ENDS_THE_IDENTITY:
            _end_identity(user, event, client)
        elif user is not None and event.kind in (STOPS_MAIL, ALLOWS_MAIL):
            _stop_or_allow_mail(user, event, client)


def _read(signed: Signed) -> Event:
    """Return the event, which Apple writes as JSON in a text. Raises `InvalidIdToken`."""
    event: Any = signed.claims["events"]
    try:
        event = json.loads(event) if isinstance(event, str) else event
        kind, subject = event["type"], event["sub"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise refusal(signed.provider, "its events cannot be read") from None
    if not isinstance(kind, str) or not isinstance(subject, str) or not subject.isascii() or "\0" in subject:
        raise refusal(signed.provider, "its events are of another form")
    email = event.get("email")
    return Event(kind, subject, _moment_of(event, signed.claims["iat"]), email if isinstance(email, str) else "")


def _moment_of(event: dict[str, Any], issued_at: int) -> datetime:
    """Return when it happened: Apple writes `event_time` in milliseconds. Without one that is no later than the second
    in which it was signed, then.
    """
    written = event.get("event_time")
    if type(written) is int and 0 <= written < (issued_at + 1) * 1000:
        return EPOCH + timedelta(milliseconds=written)
    return EPOCH + timedelta(seconds=issued_at)


def _find_person(event: Event) -> User | None:
    """Return whose identity it is about, locked, if that was bound by then. What happened in the second of the binding
    counts.
    """
    bound_before = event.happened_at + timedelta(seconds=1)
    identities = UserSocialAuth.objects.filter(provider=APPLE, uid=event.subject, created__lt=bound_before)
    people = User.objects.select_for_update(no_key=True)
    return people.filter(id__in=list(identities.values_list("user_id", flat=True))).first()


def _stop_or_allow_mail(user: User, event: Event, client: Client) -> None:
    """Remember whether Apple forwards mail to the private address of an account; of another address it says nothing.

    What arrives late does not undo what happened after it.
    """
    if not user.email.endswith(RELAY) or event.email.lower() not in ("", user.email):
        return
    if user.mail_switched_at is not None and event.happened_at < user.mail_switched_at:
        return
    is_stopped = event.kind == STOPS_MAIL
    user.undeliverable_email = user.email if is_stopped else ""
    user.mail_switched_at = event.happened_at
    user.save(update_fields=["undeliverable_email", "mail_switched_at", "updated_at"])
    _record(
        Action.MAIL_STOPPED if is_stopped else Action.MAIL_ALLOWED,
        "Apple does not forward mail to this account any more." if is_stopped else "Apple forwards mail again.",
        user,
        client,
        {"provider": APPLE},
    )


def _end_identity(user: User, event: Event, client: Client) -> None:
    AppleRefreshToken.objects.filter(user=user).delete()  # worthless at Apple by now
    ended = unbind(user.id, APPLE, SignIn.objects.all())
    enqueue("identity_ended", user_id=str(user.id), provider=APPLE)
    changes = {"provider": APPLE, "event": event.kind, "sign_ins_ended": ended}
    _record(Action.IDENTITY_UNLINKED, "The provider ended the identity.", user, client, changes)


def _record(action: Action, description: str, user: User, client: Client, changes: dict[str, Any]) -> None:
    record(
        action,
        client,
        description,
        workspace_id=user.home_workspace_id,
        target=Person(user.id, user.email),
        resource=("user", user.id),
        changes=changes,
        status_code=status.HTTP_200_OK,
    )
