"""Tenants, who belongs to them, and who is invited."""

import secrets
import uuid

from django.db import models
from django.utils.text import slugify
from django.utils.timezone import now

from accounts.emails import MAX_LENGTH
from accounts.models.user import PLAN_CHOICES, User
from accounts.scopes import Role
from spatialflow import clock

ROLE_CHOICES = [(role.value, role.value) for role in Role]


class WorkspaceManager(models.Manager["Workspace"]):
    def lock(self, workspace_id: uuid.UUID) -> "Workspace | None":
        """Return the workspace as it is now. Until the caller's transaction ends nobody else gets its row, which orders
        changes of members and of single sign-on, and the sign-ins by that. Before any other row.
        """
        return self.select_for_update(no_key=True).filter(id=workspace_id).first()

    def free_slug(self, name: str) -> str:
        """Return an unused slug for `name`; a random ending where the plain one is taken or empty."""
        base = slugify(name)[:40] or "workspace"
        slug = base
        while self.filter(slug=slug).exists():
            slug = f"{base}-{secrets.token_hex(3)}"
        return slug


class Workspace(models.Model):
    """One tenant. Everything protected belongs to exactly one workspace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255)
    slug = models.SlugField(max_length=255, unique=True)
    plan = models.CharField(max_length=20, choices=PLAN_CHOICES, default="free")
    logo_url = models.CharField(max_length=500, blank=True)
    website = models.CharField(max_length=500, blank=True)
    billing_email = models.CharField(max_length=254, blank=True)
    description = models.CharField(max_length=2000, blank=True)
    timezone = models.CharField(max_length=50, default="UTC")
    support_email = models.CharField(max_length=254, blank=True)
    slack_connect_url = models.CharField(max_length=500, blank=True)
    unit_system = models.CharField(max_length=10, default="imperial")
    lane = models.CharField(max_length=50, blank=True)
    map_home = models.JSONField(null=True, blank=True)
    requires_second_factor = models.BooleanField(default=False)
    # People whose address lies in a proven domain sign in by the workspace's identity provider alone.
    requires_sso = models.BooleanField(default=False)
    refuses_keys_under_sso = models.BooleanField(default=False)  # then API keys do not work while it is required
    access_token_lifetime = models.DurationField(
        null=True, blank=True, help_text="Null means the deployment's default."
    )
    suspended_at = models.DateTimeField(null=True, blank=True)
    sign_ins_ended_at = models.DateTimeField(null=True, blank=True)  # sign-ins begun before cannot enter any more
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = WorkspaceManager()

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """One user's place in one workspace. A user has at most one role in each."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)
    created_at = models.DateTimeField(default=now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "workspace"], name="one_membership_a_user_and_workspace")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.workspace_id} as {self.role}"


class FormerMember(models.Model):
    """One person whose membership in one workspace ended, by whoever's decision: only an invitation that they accept
    makes them a member again, whatever the workspace's identity provider says meanwhile.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "workspace"], name="one_end_a_user_and_workspace")]

    def __str__(self) -> str:
        return f"{self.user_id}, formerly in {self.workspace_id}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def for_workspace(self, workspace_id: uuid.UUID) -> "InvitationQuerySet":
        """The one door to a workspace's invitations."""
        return self.filter(workspace_id=workspace_id)

    def pending(self) -> "InvitationQuerySet":
        return self.filter(self.being("pending"))

    @staticmethod
    def being(status: str) -> models.Q:
        """Return the condition that an invitation has a status, as its property tells it."""
        is_open = models.Q(used_at=None, revoked_at=None)
        return {
            "pending": is_open & models.Q(expires_at__gt=clock.now()),
            "expired": is_open & models.Q(expires_at__lte=clock.now()),
            "accepted": models.Q(used_at__isnull=False),
            "revoked": models.Q(used_at=None, revoked_at__isnull=False),
        }[status]


class Invitation(models.Model):
    """One invitation of an address to a workspace, its token known only by its digest; it is used at most once.

    A workspace has at most one open invitation for an address; a later one revokes it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="invitations")
    email = models.CharField(max_length=MAX_LENGTH)
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)
    digest = models.BinaryField(max_length=32, unique=True)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=now, editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "email"],
                condition=models.Q(used_at=None, revoked_at=None),
                name="one_open_invitation_an_address",
            )
        ]
        indexes = [models.Index(fields=["workspace", "-created_at", "id"], name="invitations_of_a_workspace")]

    def __str__(self) -> str:
        return f"{self.role} invitation to {self.workspace_id}"

    @property
    def status(self) -> str:
        if self.used_at:
            return "accepted"
        if self.revoked_at:
            return "revoked"
        return "pending" if self.expires_at > clock.now() else "expired"
