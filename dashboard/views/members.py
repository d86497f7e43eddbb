"""Settings / Members: who belongs to the workspace, in which role; removing somebody, and leaving it oneself."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import members
from accounts.scopes import ACCOUNT_WRITE, INVITATIONS_READ, MEMBERS_READ, MEMBERS_WRITE, ROLE_SCOPES
from accounts.serializers.members import MemberQuerySerializer, RoleSerializer
from dashboard import session
from dashboard.listing import listing
from dashboard.pages import Form, FormPage, Page, validated
from dashboard.seen import read_seen, seen_field
from dashboard.wording import ROLES

PLACE = "/settings/members"


class MembersPage(Page):
    """List the members in the order in which they came, page by page, all or those searched for; lead to what the
    caller may change.
    """

    scopes = {"GET": MEMBERS_READ}
    template = "dashboard/members/list.html"
    title = "Members"

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        principal, wanted = request.auth, validated(MemberQuerySerializer, request.GET)
        found = members.find_members(principal.workspace_id, wanted["search"])
        listed = listing(request, found, wanted["search"], PLACE)
        may_change = MEMBERS_WRITE in principal.scopes
        rows = [
            {
                "member": member,
                "is_self": member.user_id == principal.user_id,
                "may_change": may_change and members.roles_to_give(principal.role, member.role),
            }
            for member in listed["page"]
        ]
        return {
            **listed,
            "rows": rows,
            "may_invite": INVITATIONS_READ in principal.scopes,
        }


class MemberPage(FormPage):
    """One member: give another role, after saying what that ends."""

    scopes = {"GET": MEMBERS_WRITE, "POST": MEMBERS_WRITE}
    needs_fresh = True
    field_of = {"last_owner": "role", "insufficient_permissions": "role"}
    template = "dashboard/members/role.html"
    title = "Change role"

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        member = members.get_member(request.auth, kwargs["user_id"])
        seen = seen_field(request, form, status, {"role": member.role}, {})
        return super().show(request, form, status, member=member, seen=seen)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        member = kwargs["member"]
        roles = members.roles_to_give(request.auth.role, member.role)
        chosen = request.POST.get("role", member.role)
        return {
            **kwargs,
            "is_self": member.user_id == request.auth.user_id,
            "roles": [
                (role, ROLES[role], role == chosen, bool(ROLE_SCOPES[member.role] - ROLE_SCOPES[role]))
                for role in roles
            ],
        }

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        former = members.get_member(request.auth, kwargs["user_id"]).role
        seen, read = read_seen(request.POST, {"role": former}), validated(RoleSerializer, request.POST)
        member = members.change_role(request, kwargs["user_id"], read["role"], seen)
        is_own, role = member.user_id == request.auth.user_id, member.role.replace("_", " ")
        if is_own and ROLE_SCOPES[former] - ROLE_SCOPES[member.role]:  # that ended this very sign-in
            session.end(request)
            messages.success(request, f"You are {role} now. Sign in again to go on.")
            return redirect("/sign-in")
        messages.success(request, f"{member.user.name or member.user.email} is {role} now.")
        return redirect(PLACE)


def is_self(request: HttpRequest, user_id: str) -> bool:
    return user_id.lower() == str(request.auth.user_id)


def to_leave() -> HttpResponse:
    """Lead whoever would remove themselves to the page that says what ends then, and that ends this sign-in as well."""
    return redirect(f"{PLACE}/leave")


class RemoveMemberPage(FormPage):
    """Ask whether, and end somebody's membership."""

    scopes = {"GET": MEMBERS_WRITE, "POST": MEMBERS_WRITE}
    needs_fresh = True
    template = "dashboard/members/remove.html"

    def show(self, request: HttpRequest, form: Form | None = None, status: int = 200, **kwargs: Any) -> HttpResponse:
        member = members.get_member(request.auth, kwargs["user_id"])
        seen = seen_field(request, form, status, {"role": member.role}, {})
        title = f"Remove {member.user.name or member.user.email}"
        return super().show(request, form, status, member=member, seen=seen, title=title)

    def context(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return kwargs

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return to_leave() if is_self(request, kwargs["user_id"]) else super().get(request, *args, **kwargs)

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if is_self(request, kwargs["user_id"]):
            return to_leave()
        member = members.get_member(request.auth, kwargs["user_id"])
        members.remove(request, kwargs["user_id"], read_seen(request.POST, {"role": member.role}))
        messages.success(request, f"{member.user.name or member.user.email} is removed from the workspace.")
        return redirect(PLACE)


class LeavePage(FormPage):
    """Ask whether, and end the caller's own membership, and with it this sign-in."""

    scopes = {"GET": ACCOUNT_WRITE, "POST": ACCOUNT_WRITE}
    template = "dashboard/members/leave.html"
    title = "Leave the workspace"

    def submit(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        members.leave(request)
        session.end(request)
        messages.success(request, "You have left the workspace. Sign in again to enter another one.")
        return redirect("/sign-in")
