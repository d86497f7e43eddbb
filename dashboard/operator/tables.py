"""What an operator sees of each table, and what they may do: read everything but secrets and digests, change nothing by
hand. What acts is done by accounts/operations.py, as from a shell, and leaves its event in the trail.
"""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin, action, display
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, ActionForm
from django.core.exceptions import BadRequest, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase

from accounts import operations
from accounts.models import Membership, SignIn, User, Workspace, WorkspaceDomain
from apikeys.models import ApiKey
from dashboard.operator.site import site
from sso.models import IdentityProvider


class ReadOnly(ModelAdmin):
    """A table that is read: `fields` lists what is shown, so that a new column with a secret stays unseen."""

    actions_selection_counter = True
    list_per_page = 50
    show_full_result_count = False  # no count of a whole table for a page of it
    list_display_links: Any = None

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # Django would let a query ask any column of the table, digests and hashes among them, letter by letter.
        column = lookup.removesuffix("__exact").removesuffix("__isnull")
        return column in self.list_filter and "\x00" not in value

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """Carry out an action on the chosen rows. Raises BadRequest where what was chosen is no id."""
        try:
            for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(chosen)
        except ValidationError:
            raise BadRequest from None
        return super().response_action(request, queryset)

    def history_view(self, *arguments: Any, **more: Any) -> HttpResponseBase:
        raise Http404  # Django's own history is empty: what was done is in the audit trail

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _each(request: HttpRequest, rows: QuerySet[Any], act: Callable[[Any, operations.Operator], Any], done: str) -> None:
    """Carry out an operation for each chosen row and say so. Each is a transaction of its own."""
    by = operations.on_the_pages(request.auth.user_id)
    for row in rows:
        act(row, by)
        # Django writes the first letter large; it must not be the address's.
        messages.success(request, f"Done: {row} {done}.")


class UserTable(ReadOnly):
    list_display = ("email", "name", "is_active", "is_verified", "has_totp", "is_staff", "created_at")
    list_display_links = ("email",)
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name", "id__exact")
    ordering = ("-created_at",)
    fields = (
        *("id", "email", "name", "company", "is_active", "is_staff", "email_verified_at", "undeliverable_email"),
        *("totp_confirmed_at", "selected_plan", "signup_details", "last_workspace", "created_at", "updated_at"),
    )
    actions = ("suspend", "reinstate", "remove_second_factor")

    @display(boolean=True, description="verified")
    def is_verified(self, user: User) -> bool:
        return user.email_verified_at is not None

    @display(boolean=True, description="second factor")
    def has_totp(self, user: User) -> bool:
        return user.has_second_factor

    @action(description="Suspend: sign-ins end for good, keys stop")
    def suspend(self, request: HttpRequest, users: QuerySet[User]) -> None:
        if users.filter(id=request.auth.user_id).exists():
            messages.error(request, "You cannot suspend yourself. Nothing has changed.")
            return
        _each(request, users, operations.suspend_user, "is suspended")

    @action(description="Reinstate: let in again")
    def reinstate(self, request: HttpRequest, users: QuerySet[User]) -> None:
        _each(request, users, operations.reinstate_user, "is reinstated")

    @action(description="Remove the second factor, of somebody who lost it and has proven who they are")
    def remove_second_factor(self, request: HttpRequest, users: QuerySet[User]) -> None:
        if users.filter(id=request.auth.user_id).exists():
            messages.error(request, "You remove your own under Settings, Security. Nothing has changed.")
            return
        with_one = users.filter(totp_confirmed_at__isnull=False)
        if not with_one.exists():
            messages.error(request, "Nobody of those has a second factor. Nothing has changed.")
            return
        _each(request, with_one, operations.remove_second_factor, "signs in with the password alone")


class PlanForm(ActionForm):
    """The form above the list: what to do, and for "Set the plan" which."""

    plan = forms.ChoiceField(choices=[("", "---"), *((plan, plan) for plan in settings.PLAN_LIMITS)], required=False)


class WorkspaceTable(ReadOnly):
    list_display = ("slug", "name", "plan", "is_suspended", "requires_sso", "requires_second_factor", "created_at")
    list_display_links = ("slug",)
    list_filter = ("plan", "requires_sso")
    search_fields = ("slug", "name", "id__exact")
    ordering = ("-created_at",)
    fields = (
        *("id", "slug", "name", "plan", "suspended_at", "requires_sso", "requires_second_factor"),
        *("refuses_keys_under_sso", "access_token_lifetime", "sign_ins_ended_at", "billing_email", "support_email"),
        *("timezone", "created_at", "updated_at"),
    )
    action_form = PlanForm
    actions = ("suspend", "reinstate", "set_plan")

    @display(boolean=True, description="suspended")
    def is_suspended(self, workspace: Workspace) -> bool:
        return workspace.suspended_at is not None

    @action(description="Suspend: nobody and no key gets in")
    def suspend(self, request: HttpRequest, workspaces: QuerySet[Workspace]) -> None:
        _each(request, workspaces, operations.suspend_workspace, "is suspended")

    @action(description="Reinstate: open to new sign-ins and its keys")
    def reinstate(self, request: HttpRequest, workspaces: QuerySet[Workspace]) -> None:
        _each(request, workspaces, operations.reinstate_workspace, "is reinstated")

    @action(description="Set the plan that is chosen beside")
    def set_plan(self, request: HttpRequest, workspaces: QuerySet[Workspace]) -> None:
        plan = request.POST.get("plan", "")
        if plan not in settings.PLAN_LIMITS:
            messages.error(request, "Choose a plan, too. Nothing has changed.")
            return
        _each(request, workspaces, lambda row, by: operations.set_plan(row, plan, by), f"has the plan {plan}")


class MembershipTable(ReadOnly):
    list_display = ("user", "workspace", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "workspace")
    search_fields = ("user__email", "workspace__slug")
    ordering = ("-created_at",)
    fields = ("user", "workspace", "role", "created_at")


class ApiKeyTable(ReadOnly):
    list_display = ("prefix", "name", "workspace", "created_by", "is_active", "expires_at", "revoked_at", "created_at")
    list_display_links = ("prefix",)
    list_filter = ("is_active", "is_read_only")
    list_select_related = ("workspace", "created_by")
    search_fields = ("prefix__startswith", "name", "workspace__slug", "created_by__email", "id__exact")
    ordering = ("-created_at",)
    fields = (
        *("id", "prefix", "name", "description", "workspace", "created_by", "scopes", "is_read_only", "is_active"),
        *("hourly_limit", "created_at", "expires_at", "rotated_at", "revoked_at"),
    )


class SignInTable(ReadOnly):
    list_display = ("user", "workspace", "method", "ip", "created_at", "last_used_at", "revoked_at", "revoked_reason")
    list_display_links = ("user",)
    list_filter = ("method",)
    list_select_related = ("user", "workspace")
    search_fields = ("user__email", "workspace__slug", "ip__exact", "id__exact")
    ordering = ("-created_at",)
    fields = (
        *("id", "user", "workspace", "method", "ip", "user_agent", "created_at", "last_used_at", "rotated_at"),
        *("expires_at", "revoked_at", "revoked_reason"),
    )


class DomainTable(ReadOnly):
    list_display = ("domain", "workspace", "is_primary", "verified_at", "checked_at", "lost_at")
    list_display_links = ("domain",)
    list_select_related = ("workspace",)
    search_fields = ("domain", "workspace__slug")
    ordering = ("domain",)
    fields = ("id", "domain", "workspace", "is_primary", "verified_at", "checked_at", "lost_at", "created_at")


class ProviderTable(ReadOnly):
    list_display = ("entity_id", "workspace", "state", "is_enabled", "preset", "tested_at", "metadata_problem")
    list_display_links = ("entity_id",)
    list_filter = ("state", "is_enabled", "preset")
    list_select_related = ("workspace",)
    search_fields = ("entity_id", "workspace__slug", "id__exact")
    ordering = ("-created_at",)
    fields = (
        *("id", "workspace", "state", "is_enabled", "entity_id", "sso_url", "slo_url", "metadata_url"),
        *("metadata_read_at", "metadata_problem", "preset", "attribute_mapping", "default_role", "creates_members"),
        *("allows_idp_initiated", "signs_requests", "requires_encryption", "tested_at", "created_at", "updated_at"),
    )


for model, table in {
    User: UserTable,
    Workspace: WorkspaceTable,
    Membership: MembershipTable,
    ApiKey: ApiKeyTable,
    SignIn: SignInTable,
    WorkspaceDomain: DomainTable,
    IdentityProvider: ProviderTable,
}.items():
    site.register(model, table)
