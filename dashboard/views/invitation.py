"""Accepting an invitation by its link. Who must prove what is in accounts/acceptance.py."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from accounts.acceptance import accept_by_link, find_open
from accounts.public_forms import read_acceptance
from accounts.serializers.invitations import AcceptPasswordlessSerializer, AcceptSerializer
from dashboard import entering
from dashboard.pages import Form
from dashboard.round_trip_errors import sentence_for
from dashboard.views.entrance import LinkPage
from sso.providers import offered


class AcceptInvitationPage(LinkPage):
    """Show who invites to what, and let the person come in: with a password, without one, or as they are signed in."""

    template = "dashboard/entrance/accept_invitation.html"
    title = "You are invited"
    parameters = ("invite_id", "token")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        error = request.GET.get("error", "")
        if error and entering.find_link(request, request.path):
            return self.show(request, Form(problem=sentence_for(error)), status=400)
        return super().get(request, *args, **kwargs)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        link = entering.find_link(request, request.path) or {"invite_id": "", "token": ""}
        invitation = find_open(link["invite_id"], link["token"])
        return {
            "invitation": invitation,
            "providers": offered(),
            "is_own": request.auth is not None and request.auth.email == invitation.email,
        }

    def carry_out(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        needs_password = request.auth is not None or "passwordless" not in request.POST
        serializer = AcceptSerializer if needs_password and request.auth is None else AcceptPasswordlessSerializer
        read = read_acceptance(serializer, request)
        password = read.get("password")
        pair = accept_by_link(request, read["invite_id"], read["token"], password, needs_password=needs_password)
        entering.drop_link(request)
        arrived = entering.arrive(request, pair, "/")
        messages.success(request, f"Welcome to {pair.membership.workspace.name}.")
        return arrived
