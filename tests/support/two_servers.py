"""A browser between two servers: it keeps cookies as one in front of both through a proxy would, and fills in forms."""

import http.client
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from lxml import html


class Page:
    """What a server answered to a browser."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.location = response.getheader("Location", "")
        self.text = response.read().decode()

    def hidden_fields(self) -> dict[str, str]:
        fields = html.document_fromstring(self.text).xpath("//main//form[@method='post']//input[@type='hidden']")
        return {field.get("name"): field.get("value") for field in fields}


class Browser:
    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def get(self, server: str, path: str) -> Page:
        return self._send(server, "GET", path, None)

    def post(self, server: str, path: str, form: dict[str, str]) -> Page:
        return self._send(server, "POST", path, urlencode(form))

    def fill_in(self, drawn_by: str, sent_to: str, path: str, typed: dict[str, str]) -> Page:
        """Open a form at one server and send it to another."""
        return self.post(sent_to, path, self.get(drawn_by, path).hidden_fields() | typed)

    def _send(self, server: str, method: str, path: str, body: str | None) -> Page:
        parts = urlsplit(server)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Host": urlsplit(settings.PUBLIC_URL).netloc, "Cookie": cookies}  # the host as a proxy passes it on
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            for line in response.headers.get_all("Set-Cookie") or []:
                self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
            return Page(response)
        finally:
            connection.close()
