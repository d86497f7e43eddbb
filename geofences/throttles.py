"""The limit of bulk creation, as published: what each credential may send in an hour."""

from rest_framework.request import Request

from spatialflow.throttling import Limit

BULK_BY_SIGN_IN = Limit("geofences-bulk-sign-in", "10/h")
BULK_BY_KEY = Limit("geofences-bulk-key", "60/h")


def charge_bulk(request: Request) -> None:
    """Charge the caller's sign-in or API key for one bulk request. Raises `Throttled`."""
    limit = BULK_BY_KEY if request.auth.credential == "api_key" else BULK_BY_SIGN_IN
    limit.charge(request, str(request.auth.credential_id))
