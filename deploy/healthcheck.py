"""The container's health check: exit code 0 when the API answers on this machine. The image has no curl."""

import sys
from http.client import HTTPConnection

from spatialflow import settings


def main() -> int:
    connection = HTTPConnection("127.0.0.1", settings.PORT, timeout=4)
    # Requests for a host that is not served are refused.
    connection.request("GET", "/api/v1/health", headers={"Host": settings.ALLOWED_HOSTS[0]})
    return 0 if connection.getresponse().status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
