"""A person's own profile: seen and changed by themselves."""

from typing import Any

from django.db import transaction
from rest_framework.request import Request

from accounts.models import Membership, User
from accounts.tokens import InvalidToken

# What a person prefers until they say otherwise; only what differs is stored.
PREFERENCES: dict[str, Any] = {
    "date_format": "YYYY-MM-DD",
    "time_format": "24h",
    "email_notifications": True,
    "webhook_failure_notifications": True,
    "workflow_failure_notifications": True,
    "usage_alert_notifications": True,
    "marketing_emails": False,
    "default_map_style": "streets",
    "default_geofence_color": "#3B82F6",
    "show_tutorial_tooltips": True,
    "has_completed_tour": False,
    "has_completed_workflow_tour": False,
    "default_api_version": "v1",
}


def get_profile(request: Request) -> Membership:
    """Return the caller's membership in the current workspace, with its user: what a profile is made of."""
    principal = request.auth
    own = Membership.objects.select_related("user", "workspace")
    found = own.filter(user_id=principal.user_id, workspace_id=principal.workspace_id).first()
    if found is None:  # ended since this request was authenticated
        raise InvalidToken()
    return found


@transaction.atomic
def update_profile(request: Request, **changes: Any) -> None:
    """Change what is given. Two changes at once both hold, as far as they name different members."""
    user = User.objects.select_for_update(no_key=True).filter(id=request.auth.user_id).first()
    if user is None:
        raise InvalidToken()
    preferences = {**user.preferences}
    for name, value in changes.items():
        if name in PREFERENCES:
            preferences[name] = value
        else:
            setattr(user, name, value)
    user.preferences = {name: value for name, value in preferences.items() if value != PREFERENCES.get(name)}
    user.save(update_fields=[*(changes.keys() - PREFERENCES.keys()), "preferences", "updated_at"])
