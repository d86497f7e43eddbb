"""API keys, as tests use them by the API."""

from rest_framework.test import APIClient

KEYS = "/api/v1/account/api-keys"
WORKSPACE_KEYS = "/api/v1/workspaces/api-keys"
GEOFENCES = "/api/v1/geofences"


def with_key(raw: str, **headers: str) -> APIClient:
    return APIClient(headers={"X-API-KEY": raw, **headers})


def works(raw: str) -> bool:
    return with_key(raw).get(GEOFENCES).status_code == 200
