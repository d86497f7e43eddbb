"""The identities bound to an account: which there are, and how one is taken away."""

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from rest_framework.request import Request
from social_django.models import UserSocialAuth

from accounts.audit import Action, record_for
from accounts.models import SignIn, User
from accounts.models.sign_in import SignInQuerySet
from accounts.principal import Principal
from accounts.sso_requirement import BY_SAML
from accounts.tokens import InvalidToken
from spatialflow.errors import ApiError
from sso.apple import revoke_tokens
from sso.login import method_of
from sso.models import LoginCode
from sso.providers import APPLE, PROVIDERS, Provider, get_provider, offered


class NotLinked(ApiError):
    default_detail = "No account of this provider is linked to yours."
    default_code = "not_linked"


class LastWayIn(ApiError):
    default_detail = "This is your only way to sign in. Set a password with POST /api/v1/auth/forgot-password before."
    default_code = "last_way_in"


class LinkingWithdrawn(ApiError):
    default_detail = (
        "Accounts are not linked here. Sign in with the provider instead: where both sides have verified your email "
        "address, that links them."
    )
    default_code = "sign_in_instead"


def linked_to(user_id: uuid.UUID) -> QuerySet[UserSocialAuth]:
    return UserSocialAuth.objects.filter(user_id=user_id).order_by("created", "id")


def name_of(provider_name: str) -> str:
    """Return what people call the provider of a bound identity."""
    describe = PROVIDERS.get(provider_name)
    return describe().display_name if describe else "Single sign-on"


@dataclass(frozen=True)
class Proofs:
    """How a person who is signed in can prove again who they are."""

    password: bool
    second_factor: bool  # its code is asked for beside the password
    providers: list[Provider]
    workspace_slug: str  # whose identity provider is asked, or empty


def proofs_of(principal: Principal) -> Proofs:
    """Return the ways in which a caller can prove who they are: by what they signed in with or could sign in with.

    A sign-in by a workspace's own identity provider is confirmed there alone: it may be the only way that the workspace
    lets in. Raises `InvalidToken`.
    """
    own = SignIn.objects.filter(id=principal.credential_id).select_related("user", "workspace").first()
    if own is None:  # deleted since this request was authenticated
        raise InvalidToken()
    if own.method == BY_SAML:
        return Proofs(False, False, [], own.workspace.slug)
    linked = set(linked_to(own.user_id).values_list("provider", flat=True))
    providers = [provider for provider in offered() if provider.name in linked]
    return Proofs(own.user.has_usable_password(), own.user.has_second_factor, providers, "")


@transaction.atomic
def disconnect(request: Request, provider_name: str) -> None:
    """Take the caller's identity at a provider away, and end the other sign-ins that came by it.

    Never the last way in: a password or another identity has to remain. Raises `NotFound`, `NotLinked`, `LastWayIn`.
    """
    provider = get_provider(provider_name)
    user = User.objects.select_for_update(no_key=True).filter(id=request.auth.user_id).first()
    if user is None:  # deleted since this request was authenticated
        raise InvalidToken()
    identities = linked_to(user.id)
    if not identities.filter(provider=provider.name).exists():
        raise NotLinked()
    if not user.has_usable_password() and not identities.exclude(provider=provider.name).exists():
        raise LastWayIn()
    ended = unbind(user.id, provider.name, SignIn.objects.exclude(id=request.auth.credential_id))
    if provider.name == APPLE:
        revoke_tokens(user.id)
    changes = {"provider": provider.name, "sign_ins_ended": ended}
    record_for(request, Action.IDENTITY_UNLINKED, "An identity was disconnected from the account.", changes=changes)


def unbind_all(user_id: uuid.UUID) -> None:
    """Unbind every identity of a person, of whichever provider, within the caller's transaction."""
    linked_to(user_id).delete()


def unbind(user_id: uuid.UUID, provider_name: str, sign_ins: SignInQuerySet) -> int:
    """Unbind an identity within the caller's transaction, and return how many of `sign_ins` ended that came by it."""
    linked_to(user_id).filter(provider=provider_name).delete()
    LoginCode.objects.filter(user_id=user_id, provider=provider_name).delete()
    return sign_ins.filter(user_id=user_id, method=method_of(provider_name)).revoke("identity_unlinked")
