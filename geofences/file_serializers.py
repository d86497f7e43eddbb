"""What can be said about an import or an export, and what an import answers."""

from typing import Any

from django.http import QueryDict
from rest_framework import serializers, status

from geofences.files.formats import BY_MEDIA_TYPE, FORMATS
from geofences.geometry import MAX_RADIUS_METERS
from geofences.imports import ImportOptions
from geofences.queries import GeofencePage
from geofences.serializers import read_page_query
from spatialflow.errors import ApiError, ErrorSerializer


class UnknownFormat(ApiError):
    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_detail = (
        "Say what the file is, by its Content-Type (application/geo+json, application/vnd.google-earth.kml+xml, "
        "application/gpx+xml) or with ?format=geojson, kml or gpx."
    )
    default_code = "unsupported_media_type"


class ImportQuerySerializer(serializers.Serializer):
    """`on_error`: refuse the whole file (abort) or leave out what is wrong (skip). `dedup_strategy`: what becomes of a
    feature with the name and geometry of a fence. `name_property`: which property holds the name. `radius_meters`:
    makes circles of points that name no radius.
    """

    format = serializers.ChoiceField(list(FORMATS), required=False)
    dry_run = serializers.BooleanField(default=False)
    on_error = serializers.ChoiceField(["abort", "skip"], default="abort")
    dedup_strategy = serializers.ChoiceField(["skip", "override", "fail"], default="skip")
    name_property = serializers.CharField(max_length=255, default="name")
    radius_meters = serializers.FloatField(min_value=0.001, max_value=MAX_RADIUS_METERS, required=False)


class ExportQuerySerializer(serializers.Serializer):
    format = serializers.ChoiceField(list(FORMATS), default="geojson")


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
    fields = _validated(ImportQuerySerializer(data=query))
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
    return _validated(ExportQuerySerializer(data=query))["format"], read_page_query(query)


def _validated(serializer: serializers.Serializer) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data
