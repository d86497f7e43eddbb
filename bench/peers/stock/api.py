"""The views: what the packages' documentation shows, put together."""

from django.db.models import QuerySet
from django.urls import path
from rest_framework import generics, serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework_api_key.permissions import BaseHasAPIKey, KeyParser
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView
from stock.models import Geofence, WorkspaceKey


class HasWorkspaceKey(BaseHasAPIKey):
    model = WorkspaceKey


class ByCredential(SimpleRateThrottle):
    rate = "20000/hour"
    scope = "credential"

    def get_cache_key(self, request: Request, view: object) -> str:
        return self.cache_format % {"scope": self.scope, "ident": request.headers["Authorization"].split()[1][-64:]}


class ByAddress(SimpleRateThrottle):
    rate = "100/min"
    scope = "address"

    def get_cache_key(self, request: Request, view: object) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


class ByBody(SimpleRateThrottle):
    """By the account that is tried, or the token that is spent."""

    rate = "30/min"
    scope = "body"

    def get_cache_key(self, request: Request, view: object) -> str:
        ident = request.data.get("username") or request.data.get("refresh", "")[-64:]
        return self.cache_format % {"scope": self.scope, "ident": ident}


class GeofenceSerializer(serializers.ModelSerializer):
    class Meta:
        model = Geofence
        exclude = ["workspace"]


class Geofences(generics.ListAPIView):
    serializer_class = GeofenceSerializer
    permission_classes = [HasWorkspaceKey | IsAuthenticated]
    throttle_classes = [ByCredential]

    def get_queryset(self) -> QuerySet[Geofence]:
        key = KeyParser().get(self.request)
        if key:
            workspace_id = WorkspaceKey.objects.get_from_key(key).workspace_id
        else:
            workspace_id = self.request.user.membership.workspace_id
        return Geofence.objects.filter(workspace_id=workspace_id).order_by("-created_at")


class Login(TokenObtainPairView):
    throttle_classes = [ByAddress, ByBody]


class Refresh(TokenRefreshView):
    throttle_classes = [ByAddress, ByBody]


urlpatterns = [
    path("geofences", Geofences.as_view()),
    path("login", Login.as_view()),
    path("refresh", Refresh.as_view()),
]
