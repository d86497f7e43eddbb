"""Settings / Members / Invitations: who is invited, inviting somebody, and what is done with an invitation. What the
invited person sees is in invitation.py.
"""

from collections import Counter
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from rest_framework.serializers import ValidationError

from accounts import invitation_batches, invitations
from accounts.invitation_pages import count_by_status, read_status
from accounts.invitations import MAX_LIFETIME_LEFT, Issued
from accounts.models import Invitation
from accounts.scopes import INVITATIONS_READ, INVITATIONS_WRITE, Role
from accounts.serializers.invitations import (
    BatchSerializer,
    ExtendSerializer,
    InviteSerializer,
    StatusQuerySerializer,
)
from dashboard.moments import moments_of
from dashboard.pages import FormPage, Page, validated
from dashboard.wording import ROLES, sentence_of

PLACE = "/settings/members/invitations"
STATUS_NAMES = {"pending": "Pending", "expired": "Expired", "accepted": "Accepted", "revoked": "Cancelled or replaced"}
WRITE = {"GET": INVITATIONS_WRITE, "POST": INVITATIONS_WRITE}


class InvitationsPage(Page):
    """List the workspace's invitations of one status, newest first, page by page."""

    scopes = {"GET": INVITATIONS_READ}
    template = "dashboard/invitations/list.html"
    title = "Invitations"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        query, workspace_id = validated(StatusQuerySerializer, request.GET), request.auth.workspace_id
        status, counts = query["status"], count_by_status(workspace_id)
        shown, following = read_status(workspace_id, status, query.get("before"))
        return {
            "tabs": [(name, text, counts[name], name == status) for name, text in STATUS_NAMES.items()],
            "status": status,
            "status_name": STATUS_NAMES[status].lower(),
            "invitations": shown,
            "following": following,
            "is_first": not query.get("before"),
            "pending_count": counts["pending"],
        }


class ShownLink(Page):
    """What the pages that make a link answer with; it has no address."""

    template = "dashboard/invitations/shown_once.html"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return kwargs


def show_link(request: HttpRequest, issued: Issued, title: str) -> HttpResponse:
    """Answer with the link of an invitation, this once."""
    return ShownLink().show(request, invitation=issued.invitation, link=issued.link, title=title)


class InvitePage(FormPage):
    """Invite somebody, and show the link once, for a QR code on site."""

    scopes = WRITE
    needs_fresh = True
    field_of = {"already_member": "email", "self_invitation": "email", "owners_only": "role"}
    template = "dashboard/invitations/new.html"
    title = "Invite somebody"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        roles = invitations.roles_to_invite(request.auth.role)
        chosen = request.POST.get("role", Role.FIELD_WORKER)
        return {"roles": [(role, ROLES[role], role == chosen, False) for role in roles]}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        issued = invitations.invite(request, **validated(InviteSerializer, request.POST))
        return show_link(request, issued, "The invitation is on its way")


class AboutInvitation(Page):
    """Base of the pages about one invitation."""

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        invitation = invitations.get_invitation(request.auth, kwargs["invite_id"])
        may_change = INVITATIONS_WRITE in request.auth.scopes
        return {
            "invitation": invitation,
            "may_change": may_change and invitation.role in invitations.roles_to_invite(request.auth.role),
        }


class InvitationPage(AboutInvitation):
    """One invitation, and what can be done with it."""

    scopes = {"GET": INVITATIONS_READ}
    template = "dashboard/invitations/detail.html"
    title = "Invitation"


class ResendPage(AboutInvitation, FormPage):
    """Ask whether, and put a new invitation with a new link in the place of a pending one."""

    scopes = WRITE
    needs_fresh = True
    template = "dashboard/invitations/resend.html"
    title = "Send the invitation again"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        issued = invitations.resend(request, kwargs["invite_id"])
        return show_link(request, issued, "The invitation is sent again")


class ExtendPage(AboutInvitation, FormPage):
    """Let an invitation end on another day; its link stays."""

    scopes = WRITE
    template = "dashboard/invitations/extend.html"
    title = "Change when it ends"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        reads = moments_of(request.auth)
        latest = reads.here(timezone.now() + MAX_LIFETIME_LEFT - timedelta(days=1))
        help_text = f"In your time zone ({reads.zone_name}), at most {MAX_LIFETIME_LEFT.days} days from now."
        return {**super().context(request, **kwargs), "latest": f"{latest:%Y-%m-%d}", "help_text": help_text}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        date, reads = request.POST.get("expires_at", ""), moments_of(request.auth)
        if not date:
            raise ValidationError({"expires_at": ["Choose a day."]})
        body = validated(ExtendSerializer, {"expires_at": reads.last_second(date)})
        invitation: Invitation = invitations.extend(request, kwargs["invite_id"], body["expires_at"])
        messages.success(request, f"The link to {invitation.email} works until {reads.exact(invitation.expires_at)}.")
        return redirect(f"{PLACE}/{kwargs['invite_id']}")


class CancelPage(AboutInvitation, FormPage):
    """Ask whether, and end an invitation that was not accepted."""

    scopes = WRITE
    template = "dashboard/invitations/cancel.html"
    title = "Cancel the invitation"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        invitations.cancel(request, kwargs["invite_id"])
        messages.success(request, "The invitation is cancelled. Its link works no more.")
        return redirect(PLACE)


class ResendAllPage(FormPage):
    """Send all pending invitations again, a batch at a time, and tell how far it is: a browser with scripts goes on by
    itself, any other by a button.
    """

    scopes = WRITE
    needs_fresh = True
    template = "dashboard/invitations/resend_all.html"
    title = "Send all pending invitations again"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        if "batch" in kwargs or request.method == "POST":
            return kwargs
        return {"pending_count": count_by_status(request.auth.workspace_id)["pending"]}

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        body = validated(BatchSerializer, {"before": request.POST.get("before")})
        batch = invitation_batches.resend_many(request, None, body["before"])
        done = len(batch.outcomes) + _count(request.POST.get("done", ""))
        sent = sum(outcome.issued is not None for outcome in batch.outcomes)
        refusals = Counter(sentence_of(outcome.refusal) for outcome in batch.outcomes if outcome.refusal)
        return self.show(
            request,
            batch=batch,
            done=done,
            sent=sent + _count(request.POST.get("sent", "")),
            total=done + batch.remaining_count,
            refusals=sorted(refusals.items()),
        )


def _count(text: str) -> int:
    """Return a number that the form has carried along, for the display alone; 0 where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0
