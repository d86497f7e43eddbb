"""What the sign-in endpoints take and give."""

from typing import Any

from rest_framework import serializers

from accounts.models import Membership, User
from accounts.scopes import Role
from accounts.tokens import Renewal, TokenPair
from spatialflow.strict_fields import TextField


def otp_field() -> TextField:
    return TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=100,
        help_text="The code of the second factor, or a recovery code; not looked at where the account has none.",
    )


class LoginSerializer(serializers.Serializer):
    email = TextField(max_length=1000)
    password = TextField(max_length=100_000, trim_whitespace=False)
    otp = otp_field()


class RefreshSerializer(serializers.Serializer):
    refresh_token = TextField(required=False, allow_null=True, allow_blank=True, max_length=10_000)


class MessageSerializer(serializers.Serializer):
    message = serializers.CharField()
    success = serializers.BooleanField()


class UserSerializer(serializers.Serializer):
    """Describes the contract's UserResponse. `user_json` renders it, and at a refresh the statement itself."""

    id = serializers.UUIDField()
    email = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(list(Role))
    roles = serializers.ListField(child=serializers.CharField())
    email_verified = serializers.BooleanField()
    selected_plan = serializers.CharField()
    company = serializers.CharField(allow_null=True)
    language_preference = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    is_superuser = serializers.BooleanField()
    is_staff = serializers.BooleanField()
    workspace_id = serializers.UUIDField()
    workspace_slug = serializers.CharField()
    workspace_role = serializers.ChoiceField(list(Role))


class TokenPairSerializer(serializers.Serializer):
    """Describes what `token_pair_json` renders."""

    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    expires_in = serializers.IntegerField()
    token_type = serializers.CharField()
    user = UserSerializer()


def user_json(user: User, membership: Membership) -> dict[str, Any]:
    """Return the contract's UserResponse. `selected_plan` is the signup's wish, not the workspace's plan."""
    return {
        "id": str(user.id),
        "email": user.email,
        "name": user.name,
        "role": membership.role,
        "roles": [membership.role],
        "email_verified": user.email_verified_at is not None,
        "selected_plan": user.selected_plan,
        "company": user.company or None,
        "language_preference": user.language_preference,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "is_superuser": user.is_superuser,
        "is_staff": user.is_staff,
        "workspace_id": str(membership.workspace_id),
        "workspace_slug": membership.workspace.slug,
        "workspace_role": membership.role,
    }


def token_pair_json(pair: TokenPair | Renewal) -> dict[str, Any]:
    """Return the four fields of the public page (RFC 6749 section 5.1) and the `user` that the SDK requires."""
    return {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "expires_in": pair.expires_in,
        "token_type": "Bearer",
        "user": pair.person if isinstance(pair, Renewal) else user_json(pair.user, pair.membership),
    }
