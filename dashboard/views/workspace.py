"""Settings / Workspace: what it is called, what its plan leaves, what protects it, and its end."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from rest_framework.serializers import Serializer

from accounts import workspaces
from accounts.scopes import MEMBERS_READ, SSO_MANAGE, WORKSPACE_OWN, WORKSPACE_READ, WORKSPACE_WRITE
from accounts.serializers.workspaces import (
    UNIT_SYSTEMS,
    WorkspaceDeleteQuerySerializer,
    WorkspacePatchSerializer,
    WorkspacePutSerializer,
    workspace_json,
)
from accounts.throttles import REVOKE_ALL
from dashboard import session
from dashboard.pages import Form, FormPage, Page, validated
from dashboard.seen import at_fields, read_seen, seen_field
from dashboard.timezones import timezones
from spatialflow.edited import EditedMeanwhile, left_as_seen

PLACE = "/settings/workspace"
GENERAL = (
    *("name", "description", "website", "logo_url", "support_email", "billing_email", "slack_connect_url"),
    *("timezone", "unit_system"),
)
SECURITY = ("access_token_lifetime_seconds", "requires_second_factor")
LIFETIMES = {"300": "5 minutes", "900": "15 minutes", "3600": "1 hour", "14400": "4 hours", "86400": "24 hours"}


class ChangePage(FormPage):
    """Base of the pages that change what their person has changed in the form, of what `names` name."""

    names: ClassVar[tuple[str, ...]] = ()

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        seen = seen_field(request, form, status, self.now(request), {})
        return super().show(request, form, status, seen=seen, **kwargs)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"seen": kwargs["seen"]}

    def now(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the form changes, as it is now, in the API's words."""
        workspace = request.auth.get_workspace()
        shown = workspace_json(workspace)
        return {name: shown[name] if name in SECURITY else getattr(workspace, name) for name in self.names}

    def change(self, request: HttpRequest, serializer: type[Serializer], body: dict[str, Any]) -> None:
        """Raise `EditedMeanwhile`, and what `workspaces.update` raises."""
        seen, read = read_seen(request.POST, self.now(request)), validated(serializer, body)
        kept = {name: seen[name] for name in SECURITY if name in seen}
        seen = {**seen, **validated(WorkspacePatchSerializer, kept)}
        changes = {name: read[name] for name in read.keys() - left_as_seen(seen, read)}
        try:
            workspaces.update(request, seen, **changes)
        except EditedMeanwhile as refusal:
            raise at_fields(refusal, {"access_token_lifetime": "access_token_lifetime_seconds"}) from None


class WorkspacePage(ChangePage):
    """Show what the workspace is called and how to reach it; owners and managers change it."""

    scopes = {"GET": WORKSPACE_READ, "POST": WORKSPACE_WRITE}
    template = "dashboard/workspace/general.html"
    title = "Workspace"
    names = GENERAL

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {
            **super().context(request, **kwargs),
            "workspace": workspace_json(request.auth.get_workspace()),
            "timezones": timezones(),
            "unit_systems": [(name, name.capitalize()) for name in UNIT_SYSTEMS],
            "may_change": WORKSPACE_WRITE in request.auth.scopes,
            "may_own": WORKSPACE_OWN in request.auth.scopes,
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        # A plain mapping: of a form the serializer would read a missing checkbox as one that is not ticked.
        body = {name: request.POST[name] for name in GENERAL if name in request.POST}
        self.change(request, WorkspacePutSerializer, body)
        messages.success(request, "The workspace is saved.")
        return redirect(PLACE)


class UsagePage(Page):
    """What the workspace holds and has used, and what its plan leaves."""

    scopes = {"GET": WORKSPACE_READ}
    template = "dashboard/workspace/usage.html"
    title = "Plan and use"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        used, headers = workspaces.usage_today(request.auth), getattr(request, "rate_limit_headers", {})
        limit = int(headers.get("RateLimit-Limit", request.auth.hourly_limit))
        left = int(headers.get("RateLimit-Remaining", limit))
        most_keys = settings.MAX_API_KEYS_PER_WORKSPACE
        return {
            "used": used,
            "own": {"used": limit - left, "left": left, "limit": limit},
            "keys": {"used": used["api_keys"], "left": max(0, most_keys - used["api_keys"]), "limit": most_keys},
            "plans": [(name, most, name == request.auth.plan) for name, most in settings.PLAN_LIMITS.items()],
            "may_see_members": MEMBERS_READ in request.auth.scopes,
            "may_own": WORKSPACE_OWN in request.auth.scopes,
        }


class SecurityPage(ChangePage):
    """What owners decide about sign-ins: how long access tokens last, and whether everybody needs a second factor."""

    scopes = {"GET": WORKSPACE_OWN, "POST": WORKSPACE_OWN}
    needs_fresh = True
    field_of = {"own_second_factor_missing": "requires_second_factor"}
    template = "dashboard/workspace/security.html"
    title = "Workspace security"
    names = SECURITY

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        workspace = request.auth.get_workspace()
        lifetime = workspace_json(workspace)["access_token_lifetime_seconds"]
        chosen = str(lifetime) if lifetime else ""
        default = f"The service's own ({_in_words(int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()))})"
        offered = {"": default, **LIFETIMES}
        if chosen not in offered:
            offered[chosen] = _in_words(int(chosen))
        ticked = "requires_second_factor" in request.POST if request.method == "POST" else None
        return {
            **super().context(request, **kwargs),
            "workspace": workspace,
            "lifetimes": list(offered.items()),
            "lifetime": chosen,
            "is_required": workspace.requires_second_factor if ticked is None else ticked,
            "may_manage_sso": SSO_MANAGE in request.auth.scopes,
            "may_own": True,
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        body = {
            "access_token_lifetime_seconds": request.POST.get("access_token_lifetime_seconds") or None,
            "requires_second_factor": "requires_second_factor" in request.POST,
        }
        self.change(request, WorkspacePatchSerializer, body)
        messages.success(request, "The workspace's security is saved.")
        return redirect(f"{PLACE}/security")


class EndSignInsPage(FormPage):
    """Ask whether, and end everybody's sign-ins in the workspace, the caller's too."""

    scopes = {"GET": WORKSPACE_OWN, "POST": WORKSPACE_OWN}
    needs_fresh = True
    template = "dashboard/workspace/end_sign_ins.html"
    title = "Sign everybody out"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        REVOKE_ALL.charge(request, str(request.auth.workspace_id))
        members, ended = workspaces.end_all_sign_ins(request)
        session.end(request)
        people = "1 person is" if members == 1 else f"{members} people are"
        messages.success(request, f"{people} signed out, you among them ({ended} in all). Sign in again to go on.")
        return redirect("/sign-in")


class DeleteWorkspacePage(FormPage):
    """Say what goes with the workspace, and delete it for an owner who types its short name."""

    scopes = {"GET": WORKSPACE_OWN, "POST": WORKSPACE_OWN}
    needs_fresh = True
    template = "dashboard/workspace/delete.html"
    title = "Delete the workspace"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"held": workspaces.usage_today(request.auth)}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        workspaces.delete(request, **validated(WorkspaceDeleteQuerySerializer, request.POST))
        session.end(request)
        messages.success(request, "The workspace is deleted with everything in it.")
        return redirect("/sign-in")


def _in_words(seconds: int) -> str:
    length, unit = next((each for each in ((3600, "hour"), (60, "minute")) if seconds % each[0] == 0), (1, "second"))
    return f"{seconds // length} {unit}{'' if seconds == length else 's'}"
