"""A browser's way to a provider and back: begun here, bound to the browser, and ended in a login code.

The row of a round trip is spent by the first callback that names its state, whatever comes of it. A callback that
belongs to no round trip of this browser is refused outright; any other leads back to the page that began, with a login
code or with the error's stable code.
"""

import hmac
import json
import logging
import secrets
from dataclasses import dataclass
from typing import Any

from rest_framework import status

from accounts.acceptance import find_open
from accounts.invitations import InviteEmailMismatch
from accounts.mail import link
from accounts.principal import Client
from spatialflow.encryption import CannotDecrypt, decrypt, encrypt
from spatialflow.errors import ApiError
from sso.apple import keep_refresh_token
from sso.destinations import read_destination, told
from sso.idtoken import refusal as token_refusal
from sso.login import enter
from sso.login_codes import refuse_unusable_challenge
from sso.models import LoginCode, OAuthState, digest
from sso.oauth import Grant, Secrets, authorization_url, redeem
from sso.outbound import ProviderUnavailable
from sso.providers import APPLE, get_provider, web_provider

logger = logging.getLogger(__name__)

DENIED = {"access_denied", "user_cancelled_authorize", "consent_required", "interaction_required", "login_required"}


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


class ChallengeRequired(ApiError):
    """Without a challenge a round trip could only end in the dashboard's session, which there is not yet."""

    default_detail = "Begin the sign-in with a code_challenge (PKCE, S256) and a state."
    default_code = "code_challenge_required"


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


def finish(provider_name: str, callback: dict[str, str], browser: str, client: Client) -> str:
    """Return where to send the browser that came back with `callback`: with a login code, or with an error's code.

    Raises `NotFound`; `InvalidState` where there is no such round trip of this browser; `MalformedCallback`.
    """
    name = get_provider(provider_name).name
    state = callback.get("state", "")
    round_trip = OAuthState.objects.consume(state)
    if (
        round_trip is None
        or round_trip.provider != name
        or not hmac.compare_digest(digest(browser), bytes(round_trip.browser_digest))
    ):
        raise InvalidState()
    try:
        code = _sign_in(round_trip, state, callback, client)
    except MalformedCallback:
        raise
    except ApiError as refusal:
        logger.info("sign-in by %s refused from %s: %s", name, client.ip, refusal.get_codes())
        return _told_refusal(round_trip, refusal)
    return told(round_trip.next, code=code, state=round_trip.client_state)


def _sign_in(round_trip: OAuthState, state: str, callback: dict[str, str], client: Client) -> str:
    """Return a login code for whom the provider vouches for."""
    provider = web_provider(round_trip.provider)
    if error := callback.get("error"):
        raise ConsentDenied() if error in DENIED else ProviderUnavailable()
    if not callback.get("code"):
        raise MalformedCallback()
    name = _name_of_first_visit(callback.get("user", "")) if provider.name == APPLE else ""
    if round_trip.intent != OAuthState.Intent.CLIENT:
        raise ChallengeRequired()  # before the provider's code is spent, and before anything is made
    grant = redeem(provider, Secrets(state, _verifier_of(round_trip), code=callback["code"]))
    if not hmac.compare_digest(digest(grant.id_token.nonce or ""), bytes(round_trip.nonce_digest)):
        raise token_refusal(provider, "it is not of this round trip")
    grant.id_token.spend()  # whoever should see it in a log cannot trade it as an app does
    return _issue_code(round_trip, grant, name, client)


def _verifier_of(round_trip: OAuthState) -> str:
    try:
        return decrypt(round_trip.pkce_verifier)
    except CannotDecrypt:  # the key was taken out of the settings meanwhile
        raise InvalidState() from None


def _issue_code(round_trip: OAuthState, grant: Grant, name: str, client: Client) -> str:
    entry = enter(grant.id_token.identity(name), client, invitation=round_trip.invitation)
    membership = entry.membership
    if grant.refresh_token and round_trip.provider == APPLE:
        keep_refresh_token(membership.user, grant.id_token.client_id, grant.refresh_token)
    return LoginCode.objects.issue(
        user_id=membership.user_id,
        workspace_id=membership.workspace_id,
        provider=round_trip.provider,
        code_challenge=round_trip.code_challenge,
        client_state=round_trip.client_state,
        account_is_new=entry.created,
    )


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
