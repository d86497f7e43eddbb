"""A browser's way to a provider and back: begun here, and bound to the browser. Begun with a challenge, it ends in a
login code for whoever holds the verifier; without one, in the refresh cookie of the browser that began.

The row of a round trip is spent by the first callback that names its state, whatever comes of it. A callback that
belongs to no round trip of this browser is refused outright; any other leads back to the page that began, with the end
of the sign-in or with the error's stable code.
"""

import hmac
import json
import logging
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError
from rest_framework import status

from accounts.acceptance import find_open
from accounts.invitations import InviteEmailMismatch
from accounts.mail import link
from accounts.models import User
from accounts.principal import Client
from spatialflow.encryption import CannotDecrypt, decrypt, encrypt
from spatialflow.errors import ApiError
from sso.apple import keep_refresh_token
from sso.destinations import Arrival, read_destination, told
from sso.idtoken import refusal as token_refusal
from sso.login import ChangedMeanwhile, Terms, enter, sign_in
from sso.login_codes import refuse_unusable_challenge
from sso.models import LoginCode, OAuthState, digest
from sso.oauth import Grant, Secrets, authorization_url, redeem
from sso.outbound import REFUSALS_OF_THE_SERVICE, ProviderUnavailable, ServiceRefused
from sso.providers import APPLE, Provider, get_provider, web_provider

logger = logging.getLogger(__name__)

DENIED = {"access_denied", "user_cancelled_authorize", "consent_required", "interaction_required", "login_required"}
STATE = re.compile(rb"(?<![\w-])[\w-]{43}(?![\w-])")  # wherever it stands
MAX_STATES = 10


class InvalidState(ApiError):
    """Unknown, expired, spent, of another provider or of another browser: one answer for all."""

    default_detail = "This sign-in was not begun in this browser, or it has expired. Begin it again."
    default_code = "invalid_state"


class MalformedCallback(ApiError):
    default_detail = "The sign-in provider's answer cannot be read. Begin the sign-in again."
    default_code = "malformed_callback"


class ConsentDenied(ApiError):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "The sign-in was cancelled at the provider. Begin it again to go on."
    default_code = "access_denied"


@dataclass(frozen=True)
class Wish:
    """What the page that begins a round trip asks for; empty is not asked for."""

    next: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""
    state: str = ""
    invite_id: str = ""
    invite_token: str = ""


def begin(provider_name: str, wish: Wish, browser: str) -> str:
    """Store a round trip of the browser that holds the secret `browser`; return where to send it.

    An invitation counts when both its id and its token are given. Raises `NotFound`, `NotConfigured`,
    `InvalidDestination`, `UnusableChallenge`, `NotPending`.
    """
    provider = web_provider(provider_name)
    destination = read_destination(wish.next)
    refuse_unusable_challenge(wish.code_challenge, wish.code_challenge_method, wish.state)
    is_invited = bool(wish.invite_id and wish.invite_token)
    invitation = find_open(wish.invite_id, wish.invite_token) if is_invited else None
    nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    state = OAuthState.objects.issue(
        provider=provider.name,
        intent=OAuthState.Intent.CLIENT if wish.code_challenge else OAuthState.Intent.DASHBOARD,
        nonce_digest=digest(nonce),
        pkce_verifier=encrypt(verifier),
        browser_digest=digest(browser),
        next=destination,
        code_challenge=wish.code_challenge,
        client_state=wish.state,
        invitation=invitation,
    )
    return authorization_url(provider, Secrets(state, verifier, nonce=nonce))


def spend_malformed(callback: bytes) -> None:
    """Spend every round trip whose state stands in a callback that cannot be read, up to MAX_STATES of them."""
    for state in list(dict.fromkeys(STATE.findall(callback)))[:MAX_STATES]:
        OAuthState.objects.consume(state.decode())


def finish(provider_name: str, callback: dict[str, str], browser: str, client: Client) -> Arrival:
    """Return where to send the browser that came back with `callback`: with a login code, with the pair that its
    refresh cookie is for, or with an error's code.

    Raises `NotFound`; `InvalidState` where there is no such round trip of this browser; `MalformedCallback`.
    """
    state = callback.get("state", "")
    round_trip = OAuthState.objects.consume(state)
    name = get_provider(provider_name).name
    if (
        round_trip is None
        or round_trip.provider != name
        or not hmac.compare_digest(digest(browser), bytes(round_trip.browser_digest))
    ):
        raise InvalidState()
    try:
        return _sign_in(round_trip, state, callback, client)
    except MalformedCallback:
        raise
    except ApiError as error:
        refusal = error
    except IntegrityError:  # the account was deleted meanwhile
        refusal = ChangedMeanwhile()
    logger.info("sign-in by %s refused from %s: %s", name, client.ip, refusal.get_codes())
    return Arrival(_told_refusal(round_trip, refusal))


def _sign_in(round_trip: OAuthState, state: str, callback: dict[str, str], client: Client) -> Arrival:
    """Return the end of the round trip of whom the provider vouches for."""
    provider = web_provider(round_trip.provider)
    if error := callback.get("error"):
        raise _meaning_of(error, provider)
    if not callback.get("code"):
        raise MalformedCallback()
    name = _name_of_first_visit(callback.get("user", "")) if provider.name == APPLE else ""
    grant = redeem(provider, Secrets(state, _verifier_of(round_trip), code=callback["code"]))
    if not hmac.compare_digest(digest(grant.id_token.nonce or ""), bytes(round_trip.nonce_digest)):
        raise token_refusal(provider, "it is not of this round trip")
    grant.id_token.spend()  # whoever should see it in a log cannot trade it as an app does
    if round_trip.intent == OAuthState.Intent.CLIENT:
        return _end_in_code(round_trip, grant, name, client)
    return _end_in_cookie(round_trip, grant, name, client)


def _meaning_of(error: str, provider: Provider) -> ApiError:
    """Return what an error of the provider's means here. Its words are anybody's, so only known ones are logged."""
    if error in DENIED:
        return ConsentDenied()
    host = urlsplit(provider.authorization_url).hostname
    if error in REFUSALS_OF_THE_SERVICE:
        logger.error("%s at %s refuses this service in the browser: %s", provider.name, host, error)
        return ServiceRefused()
    logger.warning("%s at %s sent a browser back with an error of its own", provider.name, host)
    return ProviderUnavailable()


def _verifier_of(round_trip: OAuthState) -> str:
    try:
        return decrypt(round_trip.pkce_verifier)
    except CannotDecrypt:  # the key was taken out of the settings meanwhile
        raise InvalidState() from None


def _end_in_cookie(round_trip: OAuthState, grant: Grant, name: str, client: Client) -> Arrival:
    """Sign in the browser that began. There is no page that could ask for a second factor."""
    _, pair = sign_in(grant.id_token.identity(name), client, Terms(round_trip.invitation))
    _keep_apples_token(pair.user, grant)
    return Arrival(told(round_trip.next), pair)


def _end_in_code(round_trip: OAuthState, grant: Grant, name: str, client: Client) -> Arrival:
    """Issue a login code, whose trade asks for the second factor of an account that has one."""
    terms = Terms(round_trip.invitation, asks_for_factor_later=True)
    entry = enter(grant.id_token.identity(name), client, terms)
    membership = entry.membership
    _keep_apples_token(membership.user, grant)
    code = LoginCode.objects.issue(
        user_id=membership.user_id,
        workspace_id=membership.workspace_id,
        provider=round_trip.provider,
        code_challenge=round_trip.code_challenge,
        client_state=round_trip.client_state,
        account_is_new=entry.created,
    )
    return Arrival(told(round_trip.next, code=code, state=round_trip.client_state))


def _keep_apples_token(user: User, grant: Grant) -> None:
    if grant.refresh_token and grant.id_token.provider.name == APPLE:
        keep_refresh_token(user, grant.id_token.client_id, grant.refresh_token)


def _name_of_first_visit(user: str) -> str:
    """Return the name that Apple posts beside the code on a person's first visit, and the person may have typed.

    Nobody has signed it. Raises `MalformedCallback` for what is not JSON of Apple's form.
    """
    if not user:
        return ""
    try:
        name: Any = json.loads(user).get("name") or {}
        return " ".join(text for part in ("firstName", "lastName") if (text := (name.get(part) or "").strip()))
    except (ValueError, AttributeError, RecursionError):
        raise MalformedCallback() from None


def _told_refusal(round_trip: OAuthState, refusal: ApiError) -> str:
    """Return the page that began, or for a mismatch the page of the invitation, told the error's stable code."""
    destination = round_trip.next
    if isinstance(refusal, InviteEmailMismatch):
        destination = link("accept-invite", invite_id=str(round_trip.invitation_id))
    return told(destination, error=str(refusal.get_codes()), state=round_trip.client_state)
