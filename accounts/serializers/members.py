"""What the member endpoints take and give."""

from rest_framework import serializers

from accounts.scopes import Role


class MemberSerializer(serializers.Serializer):
    """The contract's MemberOut, from a membership. Nobody is tracked here, so the last two say nothing."""

    id = serializers.UUIDField(source="user.id")
    email = serializers.CharField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.ChoiceField(list(Role))
    joined_at = serializers.DateTimeField(source="created_at")
    tracking_state = serializers.CharField(allow_null=True, default=None)
    last_location_at = serializers.DateTimeField(allow_null=True, default=None)


class MemberListSerializer(serializers.Serializer):
    members = MemberSerializer(many=True)
    total = serializers.IntegerField()
    truncated = serializers.BooleanField()


class MemberQuerySerializer(serializers.Serializer):
    """Whom to look for: a part of a name or an address, whatever its case; empty means everybody."""

    search = serializers.CharField(max_length=254, allow_blank=True, default="")


class RoleSerializer(serializers.Serializer):
    role = serializers.ChoiceField(list(Role))


class MemberActionSerializer(serializers.Serializer):
    message = serializers.CharField()
    user_id = serializers.CharField()
    role = serializers.ChoiceField(list(Role))
