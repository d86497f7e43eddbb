"""The workspaces that a person belongs to: entering another one, making one."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import switching
from accounts.scopes import ACCOUNT_OWN, ACCOUNT_READ, ACCOUNT_WRITE
from accounts.serializers.workspaces import WorkspaceCreateSerializer, WorkspaceSelectSerializer
from accounts.workspaces import create_another
from dashboard import session
from dashboard.pages import FormPage, own_path, validated


class WorkspacesPage(FormPage):
    """List the workspaces that the person may enter; enter one."""

    scopes = {"GET": ACCOUNT_READ, "POST": ACCOUNT_WRITE}
    template = "dashboard/workspaces/list.html"
    title = "Workspaces"
    acts_anywhere = True

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        choices = switching.choices(request.auth, request.auth.workspace_id)
        return {
            "eligible": choices["eligible"],
            "current_id": request.auth.workspace_id,
            "may_make": ACCOUNT_OWN in request.auth.scopes,
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        pair = switching.select(request, **validated(WorkspaceSelectSerializer, request.POST))
        session.name_sign_in(request, pair)
        messages.success(request, f"You are in {pair.membership.workspace.name} now.")
        return redirect(own_path(request.POST.get("next", "/")))


class NewWorkspacePage(FormPage):
    """Make a workspace of the person's own."""

    scopes = {"GET": ACCOUNT_OWN, "POST": ACCOUNT_OWN}
    template = "dashboard/workspaces/new.html"
    title = "New workspace"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        wanted = validated(WorkspaceCreateSerializer, request.POST)
        made = create_another(request, wanted["name"], wanted.get("slug") or None)
        messages.success(request, f"{made.name} is made, and you own it. Enter it to work there.")
        return redirect("/workspaces")
