"""Settings / Security: the password, the email address, and accounts at providers. The second factor is in
second_factor.py.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.email_ownership import ask_for_new_email
from accounts.password_changes import change_password
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_READ
from accounts.serializers.identity import ChangeEmailSerializer, ChangePasswordSerializer
from dashboard.pages import FormPage, Page, validated
from spatialflow.errors import NotFound
from sso.identities import disconnect, linked_to, name_of
from sso.providers import PROVIDERS, get_provider

PLACE = "/settings/security"


class SecurityPage(Page):
    """What protects the account, and what can be done about it."""

    scopes = {"GET": ACCOUNT_READ}
    template = "dashboard/security/overview.html"
    title = "Security"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        user = request.auth.get_user()
        identities = list(linked_to(user.id))
        has_password = user.has_usable_password()
        ways = len(identities) + has_password
        accounts = [
            {
                "provider": identity.provider,
                "name": name_of(identity.provider),
                "linked_at": identity.created,
                "is_ours": identity.provider in PROVIDERS,
                "is_last_way_in": ways == 1,
            }
            for identity in identities
        ]
        unlinked = [
            provider.display_name
            for provider in (describe() for describe in PROVIDERS.values())
            if not provider.missing_for_web and provider.name not in {identity.provider for identity in identities}
        ]
        may_change = ACCOUNT_OWN in request.auth.scopes
        return {
            "user": user,
            "has_password": has_password,
            "accounts": accounts,
            "unlinked": unlinked,
            "may_change": may_change,
        }


class ChangePasswordPage(FormPage):
    """Replace the password. It asks for the present one itself, however fresh the sign-in is."""

    scopes = {"GET": ACCOUNT_OWN, "POST": ACCOUNT_OWN}
    template = "dashboard/security/password.html"
    title = "Change password"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"has_password": request.auth.get_user().has_usable_password()}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        change_password(request, **validated(ChangePasswordSerializer, request.POST))
        messages.success(request, "Your password is changed. Your other devices are signed out.")
        return redirect(PLACE)


class ChangeEmailPage(FormPage):
    """Ask to move the account to another address; nothing changes until the link in the mail is followed."""

    scopes = {"GET": ACCOUNT_OWN, "POST": ACCOUNT_OWN}
    needs_fresh = True
    template = "dashboard/security/email.html"
    title = "Change email address"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"has_password": request.auth.get_user().has_usable_password()}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        wanted = validated(ChangeEmailSerializer, request.POST)
        ask_for_new_email(request, **wanted)
        messages.success(
            request,
            f"A link is on its way to {wanted['new_email']}. Follow it within one hour; until then nothing changes.",
        )
        return redirect(PLACE)


class DisconnectPage(FormPage):
    """Ask whether, and take an account at a provider away from the person's account. Raises `NotFound`."""

    scopes = {"GET": ACCOUNT_OWN, "POST": ACCOUNT_OWN}
    needs_fresh = True
    template = "dashboard/security/disconnect.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        provider = get_provider(kwargs["provider"])
        if not linked_to(request.auth.user_id).filter(provider=provider.name).exists():
            raise NotFound()
        return {"title": f"Disconnect {provider.display_name}", "name": provider.display_name}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        provider = get_provider(kwargs["provider"])
        disconnect(request, provider.name)
        messages.success(request, f"{provider.display_name} is disconnected. It does not sign in to your account now.")
        return redirect(PLACE)
