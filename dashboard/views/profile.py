"""Settings / Profile: what a person says of themselves, what they prefer, and the end of their account."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from rest_framework.serializers import ValidationError

from accounts.deletion import delete_account, doomed_with
from accounts.profile import get_profile, update_profile
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_READ
from accounts.serializers.profile import ProfileUpdateSerializer, profile_json
from dashboard import session
from dashboard.pages import FormPage, validated
from dashboard.timezones import timezones

DATE_FORMATS = ["YYYY-MM-DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY"]
TIME_FORMATS = {"24h": "24 hours (17:30)", "12h": "12 hours (5:30 pm)"}
MAP_STYLES = {"streets": "Streets", "satellite": "Satellite", "dark": "Dark", "light": "Light"}
MAIL = {
    "email_notifications": "Mail about what happens in my workspaces",
    "webhook_failure_notifications": "When a webhook fails",
    "workflow_failure_notifications": "When a workflow fails",
    "usage_alert_notifications": "When usage comes close to a limit",
    "marketing_emails": "News about the product",
}
HINTS = {
    "show_tutorial_tooltips": "Show hints",
    "has_completed_tour": "I have seen the tour",
    "has_completed_workflow_tour": "I have seen the tour of workflows",
}


class ProfilePage(FormPage):
    """Show and change the person's own profile."""

    scopes = {"GET": ACCOUNT_READ, "POST": ACCOUNT_OWN}
    template = "dashboard/profile/profile.html"
    title = "Profile"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        membership = get_profile(request)
        profile = profile_json(membership)
        ticked = set(request.POST) if request.method == "POST" else {name for name in MAIL | HINTS if profile[name]}
        return {
            "profile": profile,
            "language": membership.user.language_preference,
            "timezones": timezones(),
            "date_formats": _with(profile["date_format"], {name: name for name in DATE_FORMATS}),
            "time_formats": _with(profile["time_format"], TIME_FORMATS),
            "map_styles": _with(profile["default_map_style"], MAP_STYLES),
            "mail": [(name, text, name in ticked) for name, text in MAIL.items()],
            "hints": [(name, text, name in ticked) for name, text in HINTS.items()],
            "may_change": ACCOUNT_OWN in request.auth.scopes,
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        ticked = {name: name in request.POST for name in MAIL | HINTS}
        update_profile(request, **validated(ProfileUpdateSerializer, {**request.POST.dict(), **ticked}))
        messages.success(request, "Your profile is saved.")
        return redirect("/settings/profile")


class DeleteAccountPage(FormPage):
    """Say what goes with the account, and delete it for whoever types its address."""

    scopes = {"GET": ACCOUNT_OWN, "POST": ACCOUNT_OWN}
    needs_fresh = True
    template = "dashboard/profile/delete.html"
    title = "Delete account"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"doomed": doomed_with(request.auth.user_id)}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if request.POST.get("confirmation", "").strip().lower() != request.auth.email:
            raise ValidationError({"confirmation": ["Type the address of your account to confirm its end."]})
        delete_account(request)
        session.end(request)
        messages.success(request, "Your account is deleted.")
        return redirect("/")


def _with(chosen: str, offered: dict[str, str]) -> list[tuple[str, str]]:
    """Return the options of a select, and what was chosen elsewhere among them."""
    return list(({chosen: chosen} | offered).items())
