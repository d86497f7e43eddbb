"""Settings / Audit log: what happened in the workspace, one event, an export, and whether the trail still holds."""

import json
import uuid
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from rest_framework.exceptions import ValidationError

from accounts import audit_chain, audit_log, members
from accounts.audit import Action
from accounts.scopes import AUDIT_READ, WORKSPACE_OWN
from accounts.serializers.audit import ExportQuerySerializer, FiltersSerializer
from accounts.throttles import AUDIT_VERIFICATIONS
from dashboard.chain_walk import Walk
from dashboard.moments import moments_of
from dashboard.pages import Form, FormPage, Page, form_of

PLACE = "/settings/audit-log"
FILTERS = ("search", "action", "user_id", "result", "date_from", "date_to")
RESULTS = [("", "Any"), ("succeeded", "Succeeded"), ("refused", "Refused")]
MOST_OFFERED = 100  # people that the filter offers


def action_name(action: str) -> str:
    """Return an action as people say it: "api_key.created" is "API key: created"."""
    thing, _, deed = action.replace("_", " ").partition(".")
    if thing == "auth":
        return deed.replace("sign in", "sign-in").capitalize()
    named = {"api key": "API key", "sso": "Single sign-on"}.get(thing, thing.capitalize())
    return f"{named}: {deed}"


def asked(data: Any) -> dict[str, str]:
    """Return the filters of a query or form that are not empty."""
    return {name: data[name] for name in FILTERS if data.get(name)}


def as_query(request: HttpRequest, values: dict[str, str]) -> dict[str, str]:
    """Return filters as the API takes them: the days that the form names are days where the person is."""
    reads, bounds = moments_of(request.auth), dict(values)
    if "date_from" in values:
        bounds["date_from"] = reads.beginning(values["date_from"])
    if "date_to" in values:
        bounds["date_to"] = reads.end(values["date_to"])
    return bounds


def read_filters(request: HttpRequest, values: dict[str, str]) -> audit_log.Filters:
    """Return the filters as the API reads them. Raises the 422 that names the fields."""
    query = FiltersSerializer(data=as_query(request, values))
    query.is_valid(raise_exception=True)
    return query.filters()


class AuditLogPage(Page):
    """List what happened, newest first: by person, action, result, days and words."""

    scopes = {"GET": AUDIT_READ}
    template = "dashboard/audit_log/list.html"
    title = "Audit log"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        values = asked(request.GET)
        try:
            filters = read_filters(request, values)
        except ValidationError as refusal:
            return self.show(request, *form_of(values, refusal), filters=None)
        return self.show(request, Form(values), filters=filters)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        values, filters, workspace_id = asked(request.GET), kwargs["filters"], request.auth.workspace_id
        before = request.GET.get("before")
        events, has_older = audit_log.read_page(workspace_id, filters, before) if filters else ([], False)
        return {
            "filters": values,
            "rows": [(event, audit_log.event_json(event), action_name(event.action)) for event in events],
            "older": urlencode({**values, "before": str(events[-1].id)}) if has_older else None,
            "first": urlencode(values),
            "is_first": not before,
            "actions": [("", "Any"), *((str(action), action_name(action)) for action in Action)],
            "people": people_to_choose(workspace_id, values.get("user_id")),
            "results": RESULTS,
            "verified": audit_chain.find_last_verification(workspace_id),
            "may_verify": WORKSPACE_OWN in request.auth.scopes,
            "most_exported": audit_log.MAX_EXPORTED,
        }


def people_to_choose(workspace_id: uuid.UUID, chosen: str | None) -> list[tuple[str, str]]:
    """Return the people that the filter offers; whoever was chosen elsewhere is among them."""
    people = members.list_people(workspace_id, MOST_OFFERED)
    offered = {"": "Anybody", **{str(user_id): email for user_id, email in people}}
    if chosen:
        offered.setdefault(chosen, "The chosen person")
    return list(offered.items())


class EventPage(Page):
    """Everything that is known of one event."""

    scopes = {"GET": AUDIT_READ}
    template = "dashboard/audit_log/event.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        event = audit_log.get_event(request.auth.workspace_id, kwargs["event_id"])
        changes = json.dumps(event.changes, indent=2, ensure_ascii=False) if event.changes else ""
        shown = audit_log.event_json(event)
        return {"event": event, "shown": shown, "changes": changes, "title": action_name(event.action)}


class ExportPage(Page):
    """Stream the events that the filters leave, as a file. By POST: the export is an event itself."""

    scopes = {"GET": AUDIT_READ, "POST": AUDIT_READ}

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return redirect(PLACE)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        filters = as_query(request, asked(request.POST))
        query = ExportQuerySerializer(data={**filters, "export_format": request.POST.get("export_format")})
        query.is_valid(raise_exception=True)
        return audit_log.export_file(request, query.filters(), query.validated_data["export_format"])


class VerifyPage(FormPage):
    """Verify the chain of the whole trail, a stretch at a time, and tell how far it is: a browser with scripts goes on
    by itself, any other by a button. What was found is an event of the trail.

    The beginning counts against the limit, and each step is taken once. How far it is, is carried along signed, so that
    nobody makes it up.
    """

    scopes = {"GET": WORKSPACE_OWN, "POST": WORKSPACE_OWN}
    template = "dashboard/audit_log/verify.html"
    title = "Verify the audit trail"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        if "walk" in kwargs:
            return kwargs
        return {"verified": audit_chain.find_last_verification(request.auth.workspace_id)}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        principal = request.auth
        walk = Walk.carried(request.POST.get("walk", ""), principal)
        if walk is None:
            AUDIT_VERIFICATIONS.charge(request, str(principal.workspace_id))
            walk = Walk.begin(principal)
        walk.take_step()
        stretch = audit_chain.verify_stretch(walk.last)
        walk = walk.after(stretch)
        if stretch.is_end:
            audit_chain.record_verified(request, walk.last, walk.break_count, walk.begun_behind)
        return self.show(request, walk=walk, is_end=stretch.is_end, total=max(stretch.head.sequence, 1))
