"""The linking policy, and nothing else: whose account an identity opens that a provider vouches for.

An identity is (provider, subject). Once it is bound, only that counts: an address that changes at the provider changes
nothing here. An unknown one binds by its address only where that is verified on both sides; an account whose address
nobody has verified may have been made by somebody else in wait for its owner, so it is neither handed over nor made
trustworthy: its owner resets its password by mail first, which shuts out whoever knew the old one.
"""

from dataclasses import dataclass

from accounts.models import Invitation, Membership
from accounts.principal import Client
from accounts.tokens import TokenPair, issue


@dataclass(frozen=True)
class Identity:
    """Who somebody is, by the verified words of a provider: `google`, `apple`, or `saml-` and the connection's id."""

    provider: str
    subject: str
    email: str | None  # canonical; None where the provider names none or nothing that is an address
    email_is_verified: bool
    name: str = ""


@dataclass(frozen=True)
class Entry:
    """The account that an identity opened, in the workspace where its sign-in begins."""

    membership: Membership
    created: bool
    consumed_invite_id: str | None = None
    already_member: bool | None = None
    role: str | None = None


def refuse_hopeless(identity: Identity, invitation: Invitation | None = None, *, may_create: bool = True) -> None:
    """Raise what `enter` would raise; nothing is written, so that whatever can be used once is left for a second try."""


def enter(
    identity: Identity, client: Client, *, invitation: Invitation | None = None, may_create: bool = True
) -> Entry:
    """Return the account and workspace that an identity opens, without signing in: the browser's code is traded later.

    Binds the identity, makes the account, and spends the invitation where that is due. Raises ...
    """
    raise NotImplementedError


def sign_in(
    identity: Identity, client: Client, *, invitation: Invitation | None = None, may_create: bool = True
) -> tuple[Entry, TokenPair]:
    """Enter and sign in at once, as apps do. Raises what `enter` raises."""
    entry = enter(identity, client, invitation=invitation, may_create=may_create)
    return entry, issue(entry.membership, method_of(identity.provider), client)


def method_of(provider: str) -> str:
    """Return what a sign-in by this provider is called: every workspace's own provider is SAML."""
    return "saml" if provider.startswith("saml-") else provider
