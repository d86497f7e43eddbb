"""What an app got from the provider's own sign-in on the device, traded for a token pair.

A token is spent only by a sign-in that goes through here: what is refused for a reason that the person can mend can be
sent again.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from rest_framework.request import Request

from accounts.acceptance import find_open
from accounts.login import check_second_factor
from accounts.models import Invitation, User
from accounts.principal import Client
from accounts.tokens import TokenPair
from sso.apple import exchange_code, keep_refresh_token
from sso.idtoken import IdToken, refusal, verify
from sso.login import Entry, Terms, refuse_hopeless, sign_in
from sso.models import ProviderNonce
from sso.outbound import place_to_wait
from sso.providers import APPLE, GOOGLE, native_provider

UNKNOWN_NONCE = "its nonce is unknown, expired or spent"


@dataclass(frozen=True)
class InvitationLink:
    """What the link of an invitation holds; without either of the two there is no invitation."""

    invite_id: str = ""
    token: str = ""

    def find(self) -> Invitation | None:
        """Return the open invitation. Raises `NotFound`, `NotPending`."""
        return find_open(self.invite_id, self.token) if self.invite_id and self.token else None


def sign_in_with_google(
    request: Request, raw_id_token: str, link: InvitationLink, otp: str | None
) -> tuple[Entry, TokenPair]:
    """Sign in whom Google's id token speaks of. Raises `NotConfigured`, what `verify`, `link.find`, `login.enter` and
    `check_second_factor` raise.
    """
    client = Client.of(request)
    token = verify(native_provider(GOOGLE), raw_id_token)
    identity, invitation = token.identity(), link.find()
    account = refuse_hopeless(identity, client, Terms(invitation))
    token.refuse_spent()  # before a code of the second factor is: it would be lost, or guessed by a token of a log
    shown_factor = _ask_for_factor(request, account.user, otp)
    token.spend()
    terms = Terms(invitation, shown_factor=shown_factor, binding_id=account.binding_id)
    return sign_in(identity, client, terms)


def _ask_for_factor(request: Request, account: User | None, otp: str | None) -> datetime | None:
    """Spend a code of the account's second factor, if it has one; return since when it has. Raises `OtpRequired`,
    `InvalidOtp`, `Throttled`.
    """
    if account is None or not account.has_second_factor:
        return None
    check_second_factor(request, account, otp)
    return account.totp_confirmed_at


def issue_apple_nonce() -> str:
    """Return a nonce for the device to give to Apple, raw or as its SHA-256 in hex. Raises `NotConfigured`."""
    native_provider(APPLE)
    return ProviderNonce.objects.issue()


@dataclass(frozen=True)
class FromApple:
    """What Apple has given to an app; `name` is the person's by the word of the device."""

    identity_token: str
    nonce: str
    code: str
    name: str


def sign_in_with_apple(
    request: Request, given: FromApple, link: InvitationLink, otp: str | None, may_create: bool
) -> tuple[Entry, TokenPair]:
    """Sign in whom Apple's identity token speaks of.

    The authorization code is traded for a refresh token, which is what lets Apple be told when the account ends.
    Raises what `sign_in_with_google` and `exchange_code` raise.
    """
    client = Client.of(request)
    token = verify(native_provider(APPLE), given.identity_token)
    _refuse_foreign_nonce(token, given.nonce)
    identity, invitation = token.identity(given.name), link.find()
    account = refuse_hopeless(identity, client, Terms(invitation, may_create))
    token.refuse_spent()
    if not ProviderNonce.objects.is_open(given.nonce):
        raise refusal(token.provider, UNKNOWN_NONCE)
    with place_to_wait():  # at Apple, further down: taken while nothing is spent yet
        shown_factor = _ask_for_factor(request, account.user, otp)
        if ProviderNonce.objects.consume(given.nonce) is None:
            raise refusal(token.provider, UNKNOWN_NONCE)
        token.spend()
        refresh_token = exchange_code(given.code, token.client_id, identity.subject)
    terms = Terms(invitation, may_create, shown_factor, binding_id=account.binding_id)
    entry, pair = sign_in(identity, client, terms)
    keep_refresh_token(pair.user, token.client_id, refresh_token)
    return entry, pair


def _refuse_foreign_nonce(token: IdToken, nonce: str) -> None:
    """Raise `InvalidIdToken` unless the token was made for this nonce, which Apple's libraries hash first or do not."""
    claimed = (token.nonce or "").encode("utf-8", "surrogatepass")
    raw = nonce.encode("utf-8", "surrogatepass")
    fits = [hmac.compare_digest(claimed, form) for form in (raw, hashlib.sha256(raw).hexdigest().encode())]
    if not any(fits):
        raise refusal(token.provider, "it was not made for this nonce")
