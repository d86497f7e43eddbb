"""A workspace, for tests: where it is, and what it holds when it is made."""

URL = "/api/v1/workspaces"
BRAND_NEW = {
    "logo_url": None,
    "website": None,
    "billing_email": None,
    "description": None,
    "timezone": "UTC",
    "support_email": None,
    "slack_connect_url": None,
    "unit_system": "imperial",
    "lane": None,
    "map_home": None,
    "access_token_lifetime_seconds": None,
    "requires_second_factor": False,
}
