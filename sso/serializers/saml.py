"""What a sign-in by a workspace's identity provider takes and gives."""

from rest_framework import serializers

from accounts.serializers.fields import EmailAddressField
from spatialflow.errors import ErrorSerializer
from sso.serializers.web import Text


class DetectMethodSerializer(serializers.Serializer):
    email = EmailAddressField()


class DetectedMethodSerializer(serializers.Serializer):
    method = serializers.ChoiceField(choices=["saml", "password"])
    workspace_slug = serializers.CharField(allow_null=True)
    idp_name = serializers.CharField(allow_null=True)
    required = serializers.BooleanField()


class InitiateSerializer(serializers.Serializer):
    """The query of `initiate`; its values are judged where they are used."""

    next = Text()
    code_challenge = Text()
    code_challenge_method = Text()
    state = Text()
    test = Text()


class StartSerializer(serializers.Serializer):
    """The query of `sso/start`."""

    workspace_slug = Text()
    code_challenge = Text()
    code_challenge_method = Text()
    state = Text()

    def get_fields(self) -> dict[str, serializers.Field]:
        """Return the fields with `return`, which Python does not take as the name of one."""
        return {"return": Text(), **super().get_fields()}


class AnswerSerializer(serializers.Serializer):
    """Describes the form that an identity provider has a browser post."""

    SAMLResponse = serializers.CharField()
    RelayState = serializers.CharField(required=False)


class SsoFailedSerializer(ErrorSerializer):
    """Without a reference where the form cannot be read."""

    reference = serializers.CharField(required=False)
