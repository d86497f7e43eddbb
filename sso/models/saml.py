"""A workspace's own identity provider (SAML), and what signing in by it leaves behind."""

import base64
import secrets
import uuid

from django.db import models
from django.utils.timezone import now

from accounts.models import SignIn, Workspace
from accounts.models.workspace import ROLE_CHOICES
from accounts.scopes import Role


class IdentityProviderQuerySet(models.QuerySet["IdentityProvider"]):
    def for_workspace(self, workspace_id: uuid.UUID) -> "IdentityProviderQuerySet":
        """The one door to a workspace's identity providers."""
        return self.filter(workspace_id=workspace_id)


class IdentityProvider(models.Model):
    """One SAML connection of a workspace. One serves at most, one more may be staged, and the one that served before is
    kept for a roll-back.

    An identity is (this connection, NameID), so no other tenant's provider can speak for somebody it has bound.
    """

    class State(models.TextChoices):
        SERVING = "serving"
        STAGED = "staged"
        FORMER = "former"

    class Preset(models.TextChoices):
        """Whose attribute names the mapping begins with (sso/saml_config.py)."""

        OKTA = "okta"
        ENTRA = "entra"
        ONELOGIN = "onelogin"
        GOOGLE = "google"
        CUSTOM = "custom"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="identity_providers")
    state = models.CharField(max_length=10, choices=State.choices, default=State.SERVING)
    is_enabled = models.BooleanField(default=True)
    entity_id = models.CharField(max_length=1024)
    sso_url = models.CharField(max_length=2000)
    slo_url = models.CharField(max_length=2000, blank=True)  # where single logout goes; empty is none
    certificates = models.JSONField(default=list)  # PEM; a signature of any of them counts
    metadata_url = models.CharField(max_length=2000, blank=True)  # read again daily
    metadata_read_at = models.DateTimeField(null=True)
    metadata_problem = models.CharField(max_length=300, blank=True)  # why the last reading failed, or what it left out
    # Addresses and certificates as of the last reading: what is stored otherwise, an owner has set, and it stays.
    metadata_said = models.JSONField(default=dict)
    preset = models.CharField(max_length=10, choices=Preset.choices, default=Preset.CUSTOM)
    # Names of attributes by what they say: email, name, first_name, last_name. No email: the NameID is the address.
    attribute_mapping = models.JSONField(default=dict)
    default_role = models.CharField(max_length=20, choices=ROLE_CHOICES, default=Role.MEMBER)
    creates_members = models.BooleanField(default=False)
    allows_idp_initiated = models.BooleanField(default=False)
    signs_requests = models.BooleanField(default=False)
    requires_encryption = models.BooleanField(default=False)  # assertions that are not encrypted are refused
    tested_at = models.DateTimeField(null=True)  # a real sign-in passed every check, with the connection as it is
    # Grows with each change of what can break a sign-in: a test that was begun before says nothing of what is now.
    revision = models.PositiveIntegerField(default=1)
    certificate_warned_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = IdentityProviderQuerySet.as_manager()

    class Meta:
        constraints = [
            # Deferrable, so that one UPDATE can swap two states.
            models.UniqueConstraint(
                fields=["workspace", "state"],
                name="one_identity_provider_a_state",
                deferrable=models.Deferrable.IMMEDIATE,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state} identity provider of {self.workspace_id}"

    @property
    def provider_name(self) -> str:
        """What this connection is called among providers: `saml-` and its id in base64url, as short as a column of
        social-auth's needs it.
        """
        return f"saml-{base64.urlsafe_b64encode(self.id.bytes).rstrip(b'=').decode()}"


class SamlKeyPair(models.Model):
    """A key of a workspace's service provider, and its certificate. The present one signs; each of them decrypts, so
    that one takes another's place while identity providers still know the former one (sso/saml/key_replacement.py).
    """

    class State(models.TextChoices):
        PRESENT = "present"
        NEXT = "next"
        FORMER = "former"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+", db_index=False)  # the constraint's does
    # Also in the database: a version of before, beside which the migration ran, knows nothing of it.
    state = models.CharField(max_length=10, choices=State.choices, default=State.PRESENT, db_default=State.PRESENT)
    private_key = models.TextField()  # PEM, encrypted
    certificate = models.TextField()  # PEM
    created_at = models.DateTimeField(default=now, editable=False)
    used_as_former_at = models.DateTimeField(null=True)  # a provider's answer was encrypted for it still

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "state"], name="one_saml_key_a_state")]

    def __str__(self) -> str:
        return f"{self.state} SAML key of {self.workspace_id}"


class SamlSession(models.Model):
    """What one sign-in by an identity provider came by: for single logout, and for the end of a domain's proof."""

    sign_in = models.OneToOneField(SignIn, models.CASCADE, related_name="saml_session")
    provider = models.ForeignKey(IdentityProvider, models.CASCADE, related_name="+")
    domain = models.CharField(max_length=253, blank=True)  # of the address that the provider named
    name_id = models.CharField(max_length=254)
    name_id_format = models.CharField(max_length=200, blank=True)
    session_index = models.CharField(max_length=500, blank=True)
    logged_in_at = models.DateTimeField(
        null=True
    )  # at the provider (AuthnInstant): how old the proof of who is there is

    class Meta:
        indexes = [models.Index(fields=["provider", "name_id"], name="saml_sessions_of_a_person")]

    def __str__(self) -> str:
        return f"SAML session of {self.sign_in_id}"


def new_reference() -> str:
    """Return what a person reads to their owner on the telephone: 40 bits without look-alikes."""
    return "".join(secrets.choice("23456789ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(8))


class SamlAttemptQuerySet(models.QuerySet["SamlAttempt"]):
    def for_workspace(self, workspace_id: uuid.UUID) -> "SamlAttemptQuerySet":
        """The one door to a workspace's attempts."""
        return self.filter(workspace_id=workspace_id)


class SamlAttempt(models.Model):
    """One answer of an identity provider that was refused, or that was a test: each check, expected and received.

    For the workspace's owners; never holds a secret. Old ones are swept out.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reference = models.CharField(max_length=8, default=new_reference)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    provider = models.ForeignKey(IdentityProvider, models.SET_NULL, null=True, related_name="+")
    is_test = models.BooleanField(default=False)
    succeeded = models.BooleanField(default=False)
    failed_check = models.CharField(max_length=40, blank=True)  # the first that failed
    checks = models.JSONField(default=list)  # [{check, passed, expected, received}]
    attributes = models.JSONField(default=dict)  # what a verified assertion said; {} for any other
    created_at = models.DateTimeField(default=now, editable=False)

    objects = SamlAttemptQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["workspace", "-created_at", "id"], name="saml_attempts_of_a_workspace")]

    def __str__(self) -> str:
        return f"attempt {self.reference}"
