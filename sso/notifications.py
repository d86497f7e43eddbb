"""What Apple's server tells: that somebody has taken back their consent, or has no account there any more."""

import json
import logging
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import transaction
from rest_framework import status
from social_django.models import UserSocialAuth

from accounts.audit import Action, Person, record
from accounts.models import SignIn, User
from accounts.outbox import enqueue
from accounts.principal import Client
from sso.identities import unbind
from sso.idtoken import Signed, refusal, verify_signed
from sso.models import AppleRefreshToken, SpentToken
from sso.providers import APPLE, native_provider

logger = logging.getLogger(__name__)

MAX_AGE = timedelta(days=7)  # Apple repeats what it could not deliver
ENDS_THE_IDENTITY = {"consent-revoked", "account-delete", "account-deleted"}


class Event(NamedTuple):
    kind: str
    subject: str


def act_on_notification(payload: str, client: Client) -> None:
    """Verify what Apple says, and act on it: once, however often it comes. Raises `NotConfigured`, `InvalidIdToken`,
    `KeysUnavailable`.

    An identity that ended is unbound and its sign-ins end; its person is told how else to come in. Whether mail to a
    private address is forwarded changes nothing here. What is not known is nothing to act on.
    """
    required = ("iss", "aud", "iat", "jti", "events")
    signed = verify_signed(native_provider(APPLE), payload, required, int(MAX_AGE.total_seconds()))
    event = _read(signed)
    logger.info("Apple tells of %.40s", event.kind)
    with transaction.atomic():
        is_new = SpentToken.objects.spend(f"{APPLE} notification", str(signed.claims["jti"]), 2 * MAX_AGE)
        if is_new and event.kind in ENDS_THE_IDENTITY:
            _end_identity(event, client)


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
    return Event(kind, subject)


def _end_identity(event: Event, client: Client) -> None:
    user = User.objects.filter(
        id__in=UserSocialAuth.objects.filter(provider=APPLE, uid=event.subject).values("user_id")
    ).first()
    if user is None:
        return
    AppleRefreshToken.objects.filter(user=user).delete()  # worthless at Apple by now
    ended = unbind(user.id, APPLE, SignIn.objects.all())
    enqueue("identity_ended", user_id=str(user.id), provider=APPLE)
    record(
        Action.IDENTITY_UNLINKED,
        client,
        "The provider ended the identity.",
        workspace_id=user.last_workspace_id,
        target=Person(user.id, user.email),
        resource=("user", user.id),
        changes={"provider": APPLE, "event": event.kind, "sign_ins_ended": ended},
        status_code=status.HTTP_200_OK,
    )
