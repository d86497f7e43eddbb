"""Geofences: what makes, changes, archives, deletes or restores a fence."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from rest_framework.exceptions import ValidationError

from dashboard.fence_edits import changed_parts, merged, seen_of
from dashboard.fence_forms import NEW_FENCE, SHAPES, read_fence, values_of
from dashboard.pages import Form, FormPage
from dashboard.views.geofences import PLACE, WRITE, groups_and_tags, newest_fences, on_a_map, state_of
from geofences.browsing import get_fence
from geofences.models import Geofence
from geofences.serializers import CreateGeofenceSerializer, UpdateGeofenceSerializer
from geofences.writes import (
    DuplicateGeofence,
    create_geofence,
    delete_geofence,
    lock_geofence,
    set_archived,
    update_geofence,
)
from spatialflow.api import read_id
from spatialflow.edited import EditedMeanwhile
from spatialflow.errors import Conflict

REPEATED = "A fence with this name and shape is here already. Change one of them, or tick this to have both."


class NewGeofencePage(FormPage):
    """Make a fence, drawn on the map, pasted as GeoJSON or as a circle of three numbers."""

    scopes = {"GET": WRITE, "POST": WRITE}
    template = "dashboard/geofences/new.html"
    title = "New geofence"

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        return super().show(request, form or Form(NEW_FENCE), status, **kwargs)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        around = {"shapes": SHAPES, "newest": newest_fences(request)}
        return {**on_a_map(request), **groups_and_tags(request), **around}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        fields = read_fence(CreateGeofenceSerializer, request.POST)
        try:
            made = create_geofence(request.auth.workspace_id, request.auth.user_id, fields)
        except DuplicateGeofence:
            raise ValidationError({"confirm_duplicate": [REPEATED]}) from None
        messages.success(request, f"“{fields['name']}” is made.")
        return redirect(f"{PLACE}/{made}")


class FenceDeleted(Conflict):
    default_detail = "This fence is deleted: point tests leave it out, and so does the list. Restore it first."
    default_code = "geofence_deleted"


class EditGeofencePage(FormPage):
    """Change a fence's shape and what is said about it."""

    scopes = {"GET": WRITE, "POST": WRITE}
    template = "dashboard/geofences/edit.html"
    title = "Edit geofence"
    outside = (FenceDeleted,)
    way_back = (PLACE, "Go to the geofences")

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        fence = find_fence(request, kwargs["geofence_id"])
        refuse_deleted(fence)
        form, seen = form or Form(values_of(fence)), seen_of(fence)
        if form.errors and status == EditedMeanwhile.status_code:  # what others changed is shown, what was typed stays
            form.values = merged(request.POST, fence)
        elif request.method == "POST":
            seen = request.POST.get("seen", "")
        return super().show(request, form, status, fence=fence, seen=seen)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {**on_a_map(request), **groups_and_tags(request), "shapes": SHAPES, **kwargs}

    @transaction.atomic
    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        fence = lock_geofence(request.auth.workspace_id, read_id(kwargs["geofence_id"]))
        refuse_deleted(fence)
        parts = changed_parts(request.POST, fence)
        fields = read_fence(UpdateGeofenceSerializer, request.POST, fence, parts)
        update_geofence(request.auth.workspace_id, fence.id, fields)
        messages.success(request, "Your changes are saved.")
        return redirect(f"{PLACE}/{fence.id}")


def find_fence(request: HttpRequest, geofence_id: str) -> Geofence:
    return get_fence(request.auth.workspace_id, read_id(geofence_id))


def refuse_deleted(fence: Geofence) -> None:
    """Raise `FenceDeleted` where a change would change nothing that anybody sees."""
    if state_of(fence) == "deleted":
        raise FenceDeleted()


class DecisionPage(FormPage):
    """Base of the pages that ask whether to do something with a fence."""

    scopes = {"GET": WRITE, "POST": WRITE}

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"fence": find_fence(request, kwargs["geofence_id"])}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        fence = find_fence(request, kwargs["geofence_id"])
        messages.success(request, self.decide(fence))
        return redirect(f"{PLACE}/{fence.id}")

    def decide(self, fence: Geofence) -> str:
        """Carry it out and return what the next page says."""
        raise NotImplementedError


class ArchivePage(DecisionPage):
    """Take a fence out of the usual list."""

    template = "dashboard/geofences/archive.html"
    title = "Archive geofence"

    def decide(self, fence: Geofence) -> str:
        refuse_deleted(fence)
        set_archived(fence.workspace_id, fence.id, archived=True)
        return "The fence is archived. Point tests leave it out until you bring it back."


class UnarchivePage(DecisionPage):
    """Bring an archived fence back."""

    template = "dashboard/geofences/unarchive.html"
    title = "Unarchive geofence"

    def decide(self, fence: Geofence) -> str:
        refuse_deleted(fence)
        set_archived(fence.workspace_id, fence.id, archived=False)
        return "The fence is back in the list."


class DeletePage(DecisionPage):
    """Deactivate a fence."""

    template = "dashboard/geofences/delete.html"
    title = "Delete geofence"

    def decide(self, fence: Geofence) -> str:
        delete_geofence(fence.workspace_id, fence.id)
        return "The fence is deleted. It stands under Deleted, where you can restore it."


class RestorePage(DecisionPage):
    """Let a deleted fence count again."""

    template = "dashboard/geofences/restore.html"
    title = "Restore geofence"

    def decide(self, fence: Geofence) -> str:
        update_geofence(fence.workspace_id, fence.id, {"is_active": True})
        if fence.archived:
            return "The fence is restored. It is archived still: point tests leave it out until you unarchive it."
        return "The fence is restored."
