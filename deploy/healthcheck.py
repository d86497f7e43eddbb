"""The container's health check: exit code 0 when the API answers on this machine. The image has no curl."""

import os
import sys
from http.client import HTTPConnection
from pathlib import Path


def served_host() -> str:
    """Return a host name that the service accepts (the first of ALLOWED_HOSTS): requests for any other are refused."""
    file_name = os.environ.get("ALLOWED_HOSTS_FILE")
    names = Path(file_name).read_text() if file_name else os.environ.get("ALLOWED_HOSTS", "localhost")
    return names.split(",")[0].strip()


def main() -> int:
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=4)
    connection.request("GET", "/api/v1/health", headers={"Host": served_host()})
    return 0 if connection.getresponse().status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
