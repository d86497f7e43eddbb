"""Who is calling, the same for every credential."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.conf import settings
from rest_framework.request import Request

from accounts.models import User, Workspace
from spatialflow.client_ip import client_ip


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller, in `request.auth` (and `request.user`) of every API request.

    Views ask it *which workspace* and *which scopes*, never how the caller signed in. `scopes` are the effective
    ones: what the credential carries, bounded by the member's role now.
    """

    user_id: uuid.UUID
    email: str
    email_is_verified: bool
    role: str
    workspace_id: uuid.UUID
    plan: str
    scopes: frozenset[str]
    credential: Literal["api_key", "sign_in"]
    credential_id: uuid.UUID
    is_read_only: bool = False
    own_hourly_limit: int | None = None
    switched_at: datetime | None = None  # when its sign-in last moved between workspaces
    lacks_second_factor: bool = False  # the workspace demands one, and this person has still to set it up
    is_recovery: bool = False  # an owner who came in by a recovery link, to repair single sign-on and nothing else
    # Proven by what counts in this workspace alone, while the person belongs to others, too: sees and changes nothing
    # of their account outside it.
    is_confined: bool = False
    # How the person reads days and times, for pages; None as by default.
    timezone: str = "UTC"
    date_format: str | None = None
    time_format: str | None = None

    is_authenticated = True  # Django and DRF ask this of request.user

    @property
    def hourly_limit(self) -> int:
        """Requests an hour: the plan's, or the key's own where that is lower."""
        plan_limit: int = settings.PLAN_LIMITS[self.plan]
        return min(plan_limit, self.own_hourly_limit or plan_limit)

    def get_user(self) -> User:
        return User.objects.get(pk=self.user_id)

    def get_workspace(self) -> Workspace:
        return Workspace.objects.get(pk=self.workspace_id)


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request came from, for sign-ins, usage and the audit trail."""

    ip: str
    user_agent: str
    method: str = ""
    path: str = ""

    @classmethod
    def of(cls, request: Request) -> "Client":
        user_agent = request.META.get("HTTP_USER_AGENT", "").replace("\0", "")[:300]
        return cls(client_ip(request), user_agent, request.method or "", request.path)
