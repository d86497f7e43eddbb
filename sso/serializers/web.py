"""What the browser's way through a provider takes and gives."""

from rest_framework import serializers

from accounts.serializers.auth import TokenPairSerializer, otp_field
from spatialflow.errors import ErrorSerializer
from spatialflow.strict_fields import TextField
from spatialflow.throttling import ThrottledSerializer


class ProviderSerializer(serializers.Serializer):
    name = serializers.CharField()
    display_name = serializers.CharField()
    authorize_path = serializers.CharField()


class ProvidersSerializer(serializers.Serializer):
    providers = ProviderSerializer(many=True)


class Text(TextField):
    """A parameter as it was sent, blanks and all; empty is absent."""

    def __init__(self) -> None:
        super().__init__(required=False, allow_blank=True, default="", trim_whitespace=False)


class AuthorizeSerializer(serializers.Serializer):
    """The query of `authorize`; its values are judged where they are used."""

    next = Text()
    invite_id = Text()
    invite_token = Text()
    code_challenge = Text()
    code_challenge_method = Text()
    state = Text()


class AuthorizationUrlSerializer(serializers.Serializer):
    authorization_url = serializers.CharField()


class CallbackSerializer(serializers.Serializer):
    """Describes what a provider sends back; which of it counts, `round_trips.finish` says."""

    code = serializers.CharField(required=False)
    state = serializers.CharField(required=False)
    error = serializers.CharField(required=False)
    error_description = serializers.CharField(required=False)


class FormCallbackSerializer(CallbackSerializer):
    user = serializers.CharField(required=False)


class ExchangeSerializer(serializers.Serializer):
    code = TextField(max_length=1000)
    code_verifier = TextField(max_length=1000, trim_whitespace=False)
    state = TextField(max_length=1000, trim_whitespace=False)
    otp = otp_field()


class ExchangeRefusedSerializer(ErrorSerializer):
    code = serializers.CharField(required=False, help_text="For the next try, where only the second factor is missing.")


class ExchangeThrottledSerializer(ThrottledSerializer):
    code = serializers.CharField(required=False, help_text="For the next try, where codes of the second factor wait.")


class ExchangedSerializer(TokenPairSerializer):
    created = serializers.BooleanField()
