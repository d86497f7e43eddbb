"""What the configuration of a workspace's identity provider takes and gives."""

from typing import Any, ClassVar

from rest_framework import serializers

from accounts.models import WorkspaceDomain
from accounts.scopes import Role
from spatialflow.digits import WholeNumberField
from spatialflow.strict_fields import TextField, TrueOrFalseField
from sso.domains import canonical_domain
from sso.models import IdentityProvider, SamlAttempt
from sso.saml import service_provider
from sso.saml.certificates import MAX_CERTIFICATES, UnusableCertificate, describe, read_pem, unique
from sso.saml.keys import get_certificate, next_certificate
from sso.saml_addresses import MAX_ENTITY_ID, MAX_URL, refuse_unusable_entity_id, refuse_unusable_url
from sso.serializers.domains import DomainSerializer, domain_json

MAX_PEM = 64 * 1024
MAX_ATTRIBUTE_NAME = 300
MAPPED = ("email", "name", "first_name", "last_name")
# Nobody becomes an owner by what an identity provider says.
GIVEN_ROLES = [role.value for role in Role if role != Role.OWNER]


class CertificatesField(TextField):
    """X.509 certificates in PEM, one or several blocks; what comes out is the list of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_PEM, **options)

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        try:
            return read_pem(super().to_internal_value(data))
        except UnusableCertificate as problem:
            raise serializers.ValidationError(str(problem)) from None


class CertificateInSerializer(serializers.Serializer):
    """What a page adds to a connection's certificates."""

    certificate = CertificatesField()


class EntityIdField(TextField):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_ENTITY_ID, validators=[refuse_unusable_entity_id], **options)


class EndpointField(TextField):
    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=MAX_URL, validators=[refuse_unusable_url], **options)


class DomainField(TextField):
    """A mail domain in any spelling; what comes out is its canonical form."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return canonical_domain(text)
        except serializers.ValidationError as problem:
            raise serializers.ValidationError(problem.detail["domain"]) from None


class MappingField(serializers.DictField):
    """Attribute names by what they hold. What is left out is not read; without `email` the NameID is the address."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=TextField(max_length=MAX_ATTRIBUTE_NAME), **options)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        mapping: dict[str, str] = super().to_internal_value(data)
        if unknown := mapping.keys() - set(MAPPED):
            names = ", ".join(MAPPED)
            raise serializers.ValidationError(f"{min(unknown)[:50]!r} is not among what can be mapped: {names}.")
        if not all(name.isprintable() for name in mapping.values()):
            raise serializers.ValidationError("An attribute's name holds a character that cannot be printed.")
        return mapping


class StagedConfigInSerializer(serializers.Serializer):
    """The core of a staged connection, which covers the same domains as the serving one."""

    entity_id = EntityIdField(help_text="The identity provider's entity ID (issuer).")
    sso_url = EndpointField(help_text="Where browsers are sent to sign in, by the HTTP-Redirect binding.")
    certificate = CertificatesField(help_text="X.509 in PEM; several blocks where several are valid.")

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        attributes["certificates"] = attributes.pop("certificate")
        return attributes


class SAMLConfigInSerializer(StagedConfigInSerializer):
    """The contract's SAMLConfigIn: the core of the serving connection, which is enabled unless it says otherwise."""

    covered_domain = DomainField(max_length=1000, help_text="The workspace's primary domain; others are added beside.")
    is_enabled = TrueOrFalseField(required=False, allow_null=True)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if attributes.get("is_enabled") is None:
            attributes["is_enabled"] = True
        return super().validate(attributes)


class StagedConfigPatchSerializer(serializers.Serializer):
    """What is absent stays, and so does what is null."""

    entity_id = EntityIdField(required=False, allow_null=True)
    sso_url = EndpointField(required=False, allow_null=True)
    certificates = serializers.ListField(
        child=CertificatesField(), required=False, allow_null=True, min_length=1, max_length=MAX_CERTIFICATES
    )
    slo_url = EndpointField(required=False, allow_null=True, allow_blank=True, help_text="For single logout; or empty.")
    metadata_url = EndpointField(
        required=False, allow_null=True, allow_blank=True, help_text="Read again daily; empty ends that."
    )
    preset = serializers.ChoiceField(IdentityProvider.Preset.values, required=False, allow_null=True)
    attribute_mapping = MappingField(required=False, allow_null=True)
    default_role = serializers.ChoiceField(GIVEN_ROLES, required=False, allow_null=True)
    creates_members = TrueOrFalseField(required=False, allow_null=True)
    allows_idp_initiated = TrueOrFalseField(required=False, allow_null=True)
    signs_requests = TrueOrFalseField(required=False, allow_null=True)
    requires_encryption = TrueOrFalseField(required=False, allow_null=True)

    def validate_certificates(self, blocks: list[list[str]] | None) -> list[str] | None:
        if blocks is None:
            return None
        certificates = unique([pem for block in blocks for pem in block])
        if len(certificates) > MAX_CERTIFICATES:
            raise serializers.ValidationError(f"Send at most {MAX_CERTIFICATES} certificates.")
        return certificates

    def validate_metadata_url(self, url: str | None) -> str | None:
        if url and not url.startswith("https://"):
            raise serializers.ValidationError("Enter an https:// address.")
        return url

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in attributes.items() if value is not None}


class SAMLConfigPatchSerializer(StagedConfigPatchSerializer):
    """The same for the serving connection, and what the workspace demands of its people."""

    covered_domain = DomainField(max_length=1000, required=False, allow_null=True)
    is_enabled = TrueOrFalseField(required=False, allow_null=True)
    is_required = TrueOrFalseField(
        required=False, allow_null=True, help_text="People in proven domains sign in by this connection alone."
    )
    refuses_api_keys = TrueOrFalseField(
        required=False, allow_null=True, help_text="API keys do not work either while single sign-on is required."
    )


class MetadataInSerializer(serializers.Serializer):
    """Metadata as it is, or where it is: one of the two."""

    xml = TextField(required=False, allow_blank=True, allow_null=True, max_length=1024 * 1024)
    url = TextField(required=False, allow_blank=True, allow_null=True, max_length=MAX_URL)
    staged = TrueOrFalseField(required=False, default=False)
    covered_domain = DomainField(max_length=1000, required=False, allow_null=True)

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in attributes.items() if value not in (None, "")}
        if ("xml" in given) == ("url" in given):
            raise serializers.ValidationError(
                {"xml": ["Send the metadata in xml, or its address in url: one of them."]}
            )
        staged = given.pop("staged")
        if staged:
            given.pop("covered_domain", None)
        return {**given, "state": IdentityProvider.State.STAGED if staged else IdentityProvider.State.SERVING}


class TestInSerializer(serializers.Serializer):
    staged = TrueOrFalseField(required=False, default=False)
    next = TextField(required=False, allow_blank=True, default="", trim_whitespace=False, source="destination")


class TestOutSerializer(serializers.Serializer):
    url = serializers.CharField(help_text="Open it in a browser; it works once, for ten minutes.")


class CertificateSerializer(serializers.Serializer):
    subject = serializers.CharField()
    sha256_fingerprint = serializers.CharField(source="fingerprint")
    not_before = serializers.DateTimeField()
    not_after = serializers.DateTimeField()
    expires_in_days = serializers.IntegerField(help_text="Whole days; negative when it has expired.")
    is_expired = serializers.BooleanField()
    pem = serializers.CharField()


class ServiceProviderSerializer(serializers.Serializer):
    """What to enter at the identity provider."""

    entity_id = serializers.CharField()
    acs_url = serializers.CharField()
    metadata_url = serializers.CharField(help_text="Answers once there is a configuration.")
    slo_url = serializers.CharField()
    initiate_url = serializers.CharField(help_text="Where a browser begins to sign in.")
    certificate = serializers.CharField(help_text="For signed requests and encrypted assertions, in PEM.")
    next_certificate = serializers.CharField(
        allow_null=True, help_text="Will take its place: enter it beside the present one, for signed requests."
    )


class ConnectionSerializer(serializers.Serializer):
    """Describes what `config_json` renders: the contract's SAMLConfigOut and more."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(IdentityProvider.State.values)
    entity_id = serializers.CharField()
    sso_url = serializers.CharField()
    certificate = serializers.CharField(help_text="All of them, as PUT takes them back.")
    covered_domain = serializers.CharField(help_text="The primary domain; empty while there is none.")
    is_enabled = serializers.BooleanField()
    domain_verified = serializers.BooleanField()
    domain_verified_at = serializers.DateTimeField(allow_null=True)
    domain_verification_dns_name = serializers.CharField()
    domain_verification_dns_value = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    certificates = CertificateSerializer(many=True)
    slo_url = serializers.CharField()
    metadata_url = serializers.CharField()
    metadata_read_at = serializers.DateTimeField(allow_null=True)
    metadata_problem = serializers.CharField(
        help_text="Why the last reading was not taken over, what it left out, or empty."
    )
    preset = serializers.ChoiceField(IdentityProvider.Preset.values)
    attribute_mapping = serializers.DictField(child=serializers.CharField())
    default_role = serializers.ChoiceField(list(Role))
    creates_members = serializers.BooleanField()
    allows_idp_initiated = serializers.BooleanField()
    signs_requests = serializers.BooleanField()
    requires_encryption = serializers.BooleanField()
    tested_at = serializers.DateTimeField(allow_null=True, help_text="A test passed, of the connection as it is.")
    is_required = serializers.BooleanField()
    refuses_api_keys = serializers.BooleanField()
    service_provider = ServiceProviderSerializer()
    domains = DomainSerializer(many=True)


class ImportedConnectionSerializer(ConnectionSerializer):
    changes = serializers.DictField(
        child=serializers.DictField(), help_text="{field: {from, to}}; certificates by their fingerprints."
    )


class PresetSerializer(serializers.Serializer):
    name = serializers.ChoiceField(IdentityProvider.Preset.values)
    display_name = serializers.CharField()
    name_id = serializers.CharField()
    attribute_mapping = serializers.DictField(child=serializers.CharField())
    steps = serializers.ListField(child=serializers.CharField())


class PresetsSerializer(serializers.Serializer):
    presets = PresetSerializer(many=True)


class AttemptsQuerySerializer(serializers.Serializer):
    limit = WholeNumberField(required=False, default=50, min_value=1, max_value=100)
    cursor = serializers.CharField(allow_blank=True, default="", max_length=200)
    is_test = serializers.BooleanField(required=False, allow_null=True, default=None)
    succeeded = serializers.BooleanField(required=False, allow_null=True, default=None)


class CheckedSerializer(serializers.Serializer):
    check = serializers.CharField()
    passed = serializers.BooleanField()
    expected = serializers.CharField()
    received = serializers.CharField()


class AttemptSerializer(serializers.Serializer):
    """Describes what `attempt_json` renders."""

    id = serializers.UUIDField()
    reference = serializers.CharField(help_text="What the person was shown.")
    created_at = serializers.DateTimeField()
    provider_id = serializers.UUIDField(allow_null=True, help_text="The connection, unless it was deleted since.")
    provider_state = serializers.CharField(allow_null=True, help_text="serving, staged or former, as of now.")
    is_test = serializers.BooleanField()
    succeeded = serializers.BooleanField()
    failed_check = serializers.CharField(help_text="The first check that failed; or empty.")
    checks = CheckedSerializer(many=True)
    attributes = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))

    OF_THE_ROW: ClassVar[tuple[str, ...]] = (
        *("id", "reference", "created_at", "provider_id", "is_test", "succeeded"),
        *("failed_check", "checks", "attributes"),
    )


class AttemptsSerializer(serializers.Serializer):
    attempts = AttemptSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True)


def service_provider_json(provider_workspace: Any) -> dict[str, str | None]:
    """Return what an owner enters at their identity provider; makes the workspace's key pair if there is none."""
    entity_id = service_provider.entity_id(provider_workspace)
    return {
        "entity_id": entity_id,
        "acs_url": service_provider.acs_url(provider_workspace),
        "metadata_url": entity_id,
        "slo_url": service_provider.slo_url(provider_workspace),
        "initiate_url": service_provider.initiate_url(provider_workspace),
        "certificate": get_certificate(provider_workspace),
        "next_certificate": next_certificate(provider_workspace),
    }


def config_json(provider: IdentityProvider) -> dict[str, Any]:
    """Return a connection with everything that belongs to it: domains, our own addresses, the workspace's switches."""
    workspace = provider.workspace
    claims = list(WorkspaceDomain.objects.for_workspace(workspace.id).order_by("-is_primary", "domain"))
    primary = next((claim for claim in claims if claim.is_primary), None)
    of_the_row = (name for name in ConnectionSerializer().fields if hasattr(provider, name))
    return {
        **{name: getattr(provider, name) for name in of_the_row},
        "certificate": "".join(provider.certificates),
        "certificates": CertificateSerializer([describe(pem) for pem in provider.certificates], many=True).data,
        "covered_domain": primary.domain if primary else "",
        "domain_verified": primary is not None and primary.is_proven,
        "domain_verified_at": primary and primary.verified_at,
        "domain_verification_dns_name": primary.dns_name if primary else "",
        "domain_verification_dns_value": primary.dns_value if primary else "",
        "is_required": workspace.requires_sso,
        "refuses_api_keys": workspace.refuses_keys_under_sso,
        "service_provider": service_provider_json(workspace),
        "domains": [domain_json(claim) for claim in claims],
    }


def attempt_json(attempt: SamlAttempt) -> dict[str, Any]:
    return {
        **{name: getattr(attempt, name) for name in AttemptSerializer.OF_THE_ROW},
        "provider_state": attempt.provider and attempt.provider.state,
    }
