"""What can be said about an import or an export, and what an import answers."""

from typing import Any

from django.http import QueryDict
from rest_framework import serializers, status

from geofences.files.formats import BY_MEDIA_TYPE, FORMATS
from geofences.geometry import MAX_RADIUS_METERS
from geofences.imports import ImportOptions
from geofences.queries import GeofencePage
from geofences.serializers import TRUE_OR_FALSE, read_page_query
from spatialflow.digits import NumberField
from spatialflow.errors import ApiError, ErrorSerializer
from spatialflow.strict_fields import TextField


class UnknownFormat(ApiError):
    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_detail = (
        "Say what the file is, by its Content-Type (application/geo+json, application/vnd.google-earth.kml+xml, "
        "application/gpx+xml) or with ?format=geojson, kml or gpx."
    )
    default_code = "unsupported_media_type"


class TrueOrFalseWordField(serializers.BooleanField):
    """true, 1, false or 0 in a query, and nothing that could be taken for either by mistake."""

    default_error_messages = {"invalid": "Must be true or false."}

    def to_internal_value(self, data: str) -> bool:
        if data.lower() not in TRUE_OR_FALSE:
            self.fail("invalid")
        return TRUE_OR_FALSE[data.lower()]


class ImportQuerySerializer(serializers.Serializer):
    """`on_error`: refuse the whole file (abort) or leave out what is wrong (skip). `dedup_strategy`: what becomes of a
    feature with the name and geometry of a fence. `name_property`: which property holds the name. `radius_meters`:
    makes circles of points that name no radius.
    """

    format = serializers.ChoiceField(list(FORMATS), required=False)
    dry_run = TrueOrFalseWordField(default=False)
    on_error = serializers.ChoiceField(["abort", "skip"], default="abort")
    dedup_strategy = serializers.ChoiceField(["skip", "override", "fail"], default="skip")
    name_property = TextField(max_length=255, default="name")
    radius_meters = NumberField(min_value=0.001, max_value=MAX_RADIUS_METERS, required=False)


class ExportQuerySerializer(serializers.Serializer):
    format = serializers.ChoiceField(list(FORMATS), default="geojson")


IMPORT_PARAMETERS = set(ImportQuerySerializer().fields)
EXPORT_PARAMETERS = {*ExportQuerySerializer().fields, "active_only", "include_archived", "tags"}


class FeatureErrorAnswer(serializers.Serializer):
    index = serializers.IntegerField()
    name = serializers.CharField(allow_null=True)
    message = serializers.CharField()


class ImportAnswer(serializers.Serializer):
    """How many features there were and what became of them, by index from 0; lists end after 1,000 (`truncated`)."""

    format = serializers.ChoiceField(list(FORMATS))
    dry_run = serializers.BooleanField()
    features = serializers.IntegerField()
    created = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    refused = serializers.IntegerField()
    duplicate_indexes = serializers.ListField(child=serializers.IntegerField())
    errors = FeatureErrorAnswer(many=True)
    truncated = serializers.BooleanField()


class ImportRefusedAnswer(ErrorSerializer):
    """The members of ImportAnswer stand beside these where features were refused."""

    errors = FeatureErrorAnswer(many=True, required=False)


def read_import_query(query: QueryDict, content_type: str, max_features: int) -> ImportOptions:
    """Return how to import. The query's word counts before the body's Content-Type. Raises ValidationError,
    UnknownFormat."""
    fields = _validated(ImportQuerySerializer, query, known=IMPORT_PARAMETERS)
    media_type = (content_type or "").partition(";")[0].strip().lower()
    format_name = fields.get("format") or BY_MEDIA_TYPE.get(media_type)
    if format_name is None:
        raise UnknownFormat()
    return ImportOptions(
        format=format_name,
        is_dry_run=fields["dry_run"],
        skips_refused=fields["on_error"] == "skip",
        dedup_strategy=fields["dedup_strategy"],
        name_property=fields["name_property"],
        radius_meters=fields.get("radius_meters"),
        max_features=max_features,
    )


def read_export_query(query: QueryDict) -> tuple[str, GeofencePage]:
    """Return the format, and which fences are asked for, as for a list without its limit. Raises ValidationError."""
    return _validated(ExportQuerySerializer, query, known=EXPORT_PARAMETERS)["format"], read_page_query(query)


def _validated(serializer_class: type[serializers.Serializer], query: QueryDict, known: set[str]) -> dict[str, Any]:
    """Return the values of a query in which every name is known and stands once; tags may be several. A parameter that
    we do not understand could be the one that keeps fences from being made: nothing happens then. Raises
    ValidationError."""
    errors = {
        name: [f"There is no such parameter; there are {', '.join(sorted(known))}."] for name in query.keys() - known
    }
    errors |= {name: ["Give it once."] for name in known - {"tags"} if len(query.getlist(name)) > 1}
    if errors:
        raise serializers.ValidationError(errors)
    serializer = serializer_class(data=query.dict())
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
