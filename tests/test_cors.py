"""Web pages of other origins: listed ones may call the API with a credential in a header, all others may not."""

import pytest

from tests.support.cast import PASSWORD, Actor

APP = "https://app.example.com"
FENCES = "/api/v1/geofences"


@pytest.fixture(autouse=True)
def listed(settings):
    settings.CORS_ALLOWED_ORIGINS = [APP]


def cors_headers(response) -> dict[str, str]:
    return {
        name.lower(): value for name, value in response.headers.items() if name.lower().startswith("access-control")
    }


def preflight(anyone, origin: str, path: str = FENCES, headers: str = "authorization,content-type"):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    return anyone.options(path, headers={"Origin": origin, **asked})


def test_a_listed_origin_may_ask(anyone, db):
    response = preflight(anyone, APP)

    headers = cors_headers(response)
    assert response.status_code == 200
    assert headers["access-control-allow-origin"] == APP
    assert {"POST", "PATCH", "DELETE"} <= set(headers["access-control-allow-methods"].split(", "))
    assert headers["access-control-allow-headers"] == "accept, authorization, content-type, x-api-key"
    assert "access-control-allow-credentials" not in headers
    assert "origin" in response["Vary"].lower()


def test_a_listed_origin_reads_the_answer_and_its_limits(anyone, alice: Actor, acme_key):
    response = acme_key().get(FENCES, headers={"Origin": APP})

    assert response.status_code == 200
    assert cors_headers(response) == {
        "access-control-allow-origin": APP,
        "access-control-expose-headers": "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After",
    }


def test_refusals_can_be_read_too(anyone, db):
    response = anyone.get(FENCES, headers={"Origin": APP})

    assert (response.status_code, response["Access-Control-Allow-Origin"]) == (401, APP)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "*",
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://APP.example.com@evil.example",
        "https://xapp.example.com",
        "https://[",
    ],
)
def test_another_origin_may_nothing(anyone, alice: Actor, acme_key, origin):
    client = acme_key()

    assert cors_headers(preflight(anyone, origin)) == {}
    assert cors_headers(client.get(FENCES, headers={"Origin": origin})) == {}
    assert client.get(FENCES, headers={"Origin": APP})["Access-Control-Allow-Origin"] == APP


def test_the_refresh_cookie_is_no_credential_across_origins(anyone, alice: Actor):
    login = {"email": alice.user.email, "password": PASSWORD}

    response = anyone.post("/api/v1/auth/login", login, format="json", headers={"Origin": APP})

    assert response.cookies["spatialflow_refresh"]["samesite"] == "Strict"
    assert "access-control-allow-credentials" not in cors_headers(response)


def test_only_the_api_is_shared(anyone, db):
    assert cors_headers(anyone.get("/nowhere", headers={"Origin": APP})) == {}


def test_answers_vary_by_origin_also_for_who_names_none(anyone, db):
    response = anyone.get(FENCES)

    assert (response["Vary"].lower(), cors_headers(response)) == ("origin", {})
