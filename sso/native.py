"""What an app got from the provider's own sign-in on the device, traded for a token pair.

A token is spent only by a sign-in that goes through here: what is refused for a reason that the person can mend can be
sent again.
"""

import hashlib
import hmac
from dataclasses import dataclass

from accounts.acceptance import find_open
from accounts.models import Invitation
from accounts.principal import Client
from accounts.tokens import TokenPair
from sso.apple import exchange_code, keep_refresh_token
from sso.idtoken import IdToken, refusal, verify
from sso.login import Entry, refuse_hopeless, sign_in
from sso.models import ProviderNonce
from sso.providers import APPLE, GOOGLE, native_provider


@dataclass(frozen=True)
class InvitationLink:
    """What the link of an invitation holds; without either of the two there is no invitation."""

    invite_id: str = ""
    token: str = ""

    def find(self) -> Invitation | None:
        """Return the open invitation. Raises `NotFound`, `NotPending`."""
        return find_open(self.invite_id, self.token) if self.invite_id and self.token else None


def sign_in_with_google(raw_id_token: str, link: InvitationLink, client: Client) -> tuple[Entry, TokenPair]:
    """Sign in whom Google's id token speaks of. Raises `NotConfigured`, what `verify`, `link.find` and `login.enter`
    raise.
    """
    token = verify(native_provider(GOOGLE), raw_id_token)
    identity, invitation = token.identity(), link.find()
    refuse_hopeless(identity, client, invitation=invitation)
    token.spend()
    return sign_in(identity, client, invitation=invitation)


def issue_apple_nonce() -> str:
    """Return a nonce for the device to give to Apple, raw or as its SHA-256 in hex. Raises `NotConfigured`."""
    native_provider(APPLE)
    return ProviderNonce.objects.issue()


def sign_in_with_apple(
    raw_id_token: str, nonce: str, code: str, name: str, may_create: bool, link: InvitationLink, client: Client
) -> tuple[Entry, TokenPair]:
    """Sign in whom Apple's identity token speaks of; `name` is theirs by the word of the device.

    The authorization code is traded for a refresh token, which is what lets Apple be told when the account ends.
    Raises what `sign_in_with_google` and `exchange_code` raise.
    """
    token = verify(native_provider(APPLE), raw_id_token)
    _refuse_foreign_nonce(token, nonce)
    identity, invitation = token.identity(name), link.find()
    refuse_hopeless(identity, client, invitation=invitation, may_create=may_create)
    if ProviderNonce.objects.consume(nonce) is None:
        raise refusal(token.provider, "its nonce is unknown, expired or spent")
    token.spend()
    refresh_token = exchange_code(code, token.client_id, identity.subject)
    entry, pair = sign_in(identity, client, invitation=invitation, may_create=may_create)
    keep_refresh_token(pair.user, token.client_id, refresh_token)
    return entry, pair


def _refuse_foreign_nonce(token: IdToken, nonce: str) -> None:
    """Raise `InvalidIdToken` unless the token was made for this nonce, which Apple's libraries hash first or do not."""
    claimed = (token.nonce or "").encode("utf-8", "surrogatepass")
    raw = nonce.encode("utf-8", "surrogatepass")
    fits = [hmac.compare_digest(claimed, form) for form in (raw, hashlib.sha256(raw).hexdigest().encode())]
    if not any(fits):
        raise refusal(token.provider, "it was not made for this nonce")
