"""Bodies of a workspace's mail domains."""

from typing import Any

from rest_framework import serializers

from accounts.models import WorkspaceDomain
from spatialflow.strict_fields import TextField
from sso.domains import Check, canonical_domain


class DomainCreateSerializer(serializers.Serializer):
    domain = TextField(max_length=300)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"domain": canonical_domain(fields["domain"])}


class DomainSerializer(serializers.Serializer):
    """Describes what `domain_json` renders. `lost` counts as proven until `counts_until`; then it is `suspended`."""

    id = serializers.UUIDField()
    domain = serializers.CharField()
    is_primary = serializers.BooleanField()
    status = serializers.ChoiceField(["pending", "proven", "lost", "suspended"])
    verified_at = serializers.DateTimeField(allow_null=True)
    checked_at = serializers.DateTimeField(allow_null=True)
    lost_at = serializers.DateTimeField(allow_null=True)
    counts_until = serializers.DateTimeField(allow_null=True)
    dns_name = serializers.CharField()
    dns_value = serializers.CharField()
    created_at = serializers.DateTimeField()


class DomainsSerializer(serializers.Serializer):
    domains = DomainSerializer(many=True)


class CheckSerializer(DomainSerializer):
    """Describes what `check_json` renders."""

    outcome = serializers.ChoiceField(["proven", "missing", "different", "unanswered"])
    found = serializers.ListField(child=serializers.CharField())
    detail = serializers.CharField()


SENTENCES = {
    "proven": "The record is in the DNS: the domain is proven.",
    "missing": "There is no TXT record of this name. Enter it, and wait until the DNS shows it: minutes, at times a "
    "day.",
    "different": "There are TXT records of this name, but none says what it must. Compare them with dns_value.",
    "unanswered": "The DNS did not answer, so nothing has changed. Try again in some minutes.",
}


def domain_json(claim: WorkspaceDomain) -> dict[str, Any]:
    return dict(DomainSerializer(claim).data)


def check_json(check: Check) -> dict[str, Any]:
    return {
        **domain_json(check.claim),
        "outcome": check.outcome,
        "found": check.found,
        "detail": SENTENCES[check.outcome],
    }
