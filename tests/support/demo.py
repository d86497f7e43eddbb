"""A workspace that looks as if people had worked in it for a month: for screenshots, and for looking at every page."""

import math
import random
from datetime import datetime, timedelta

from django.utils import timezone

from accounts.models import CredentialUsage, Membership, SignIn, User, Workspace
from accounts.principal import Client
from accounts.scopes import SCOPE_BITS
from accounts.tokens import AccessToken, issue
from apikeys.models import ApiKey
from tests.support.cast import PASSWORD, Actor, bearer
from tests.support.demo_fences import draw_harbour
from tests.support.demo_people import man_harbour

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
DAYS = 30
READ, WRITE = "geofences:read", "geofences:write"

# Name, description, scopes, how busy (requests in its best hour; 0 is never used), where from and by what, and how many
# hours ago last.
KEYS = [
    ("Dispatch board", "Shows which van is in which zone", [READ], 240, "203.0.113.24", "dispatch/4.2 httpx/0.28", 0),
    (
        "Nightly import",
        "Takes over zones from the GIS at 02:00",
        [READ, WRITE],
        60,
        "198.51.100.7",
        "python-requests",
        7,
    ),
    ("CI", "", [READ, WRITE], 18, "198.51.100.90", "spatialflow-python/3.2.0", 1),
    ("Old warehouse app", "To be switched off in spring", [READ, WRITE], 4, "203.0.113.77", "okhttp/4.12.0", 290),
    ("Partner portal", "For Nordkai GmbH", [READ], 0, "", "", 0),
]


def harbour() -> Actor:
    """Return the owner of a workspace with colleagues, sign-ins, keys and a month of use."""
    chance = random.Random(20)
    workspace = Workspace.objects.create(slug="harbour", name="Harbour Logistics", plan="business")
    now = timezone.now()
    founded = now - timedelta(days=400)
    about = {"name": "Mara Lindqvist", "company": "Harbour Logistics AB", "timezone": "Europe/Stockholm"}
    owner = User.objects.create_user(
        "mara@harbour.test", PASSWORD, **about, email_verified_at=founded, created_at=founded
    )
    membership = Membership.objects.create(user=owner, workspace=workspace, role="owner", created_at=founded)
    pair = issue(membership, "password", Client("203.0.113.10", FIREFOX))
    actor = Actor(owner, workspace, membership, pair, bearer(pair.access_token))
    for ip, agent, hours in (("203.0.113.10", SAFARI, 5), ("198.51.100.33", CHROME, 74)):
        _sign_in_earlier(membership, Client(ip, agent), now - timedelta(hours=hours))
    _second_workspace(owner)
    for place, (name, description, scopes, busy, ip, agent, idle) in enumerate(KEYS):
        key, _ = actor.make_key(scopes, name=name, description=description, is_read_only=scopes == [READ])
        ApiKey.objects.filter(id=key.id).update(created_at=now - timedelta(days=40 - 7 * place))
        if busy:
            _use(key, busy, Client(ip, agent), now - timedelta(hours=idle, minutes=4), chance)
    draw_harbour(workspace, owner)
    man_harbour(actor)
    ApiKey.objects.filter(name="Old warehouse app").update(is_active=False)
    ApiKey.objects.filter(name="Partner portal").update(expires_at=now + timedelta(days=9))
    return actor


def _sign_in_earlier(membership: Membership, client: Client, moment: datetime) -> None:
    pair = issue(membership, "password", client)
    sign_in = SignIn.objects.filter(id=AccessToken.read(pair.access_token).sid)
    sign_in.update(created_at=moment - timedelta(days=2), last_used_at=moment)


def _second_workspace(user: User) -> None:
    workspace = Workspace.objects.create(slug="sandbox", name="Sandbox", plan="free")
    Membership.objects.create(user=user, workspace=workspace, role="manager")


def _use(key: ApiKey, busy: int, client: Client, now: datetime, chance: random.Random) -> None:
    """Fill the record of use: more by day than by night, little at weekends, and some refusals on one afternoon."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = []
    for back in range(DAYS * 24):
        started = hour - timedelta(hours=back)
        daylight = max(0.04, math.sin(math.pi * (started.hour - 5) / 16)) if 5 <= started.hour <= 21 else 0.04
        share = daylight * (0.25 if started.weekday() > 4 else 1) * chance.uniform(0.6, 1)
        requests = round(busy * share)
        if requests:
            used_at = min(started + timedelta(minutes=50), now)
            refusals = requests // 4 if 26 <= back <= 28 else 0
            rows.append(
                CredentialUsage(
                    credential_id=key.id,
                    started_at=started,
                    workspace_id=key.workspace_id,
                    requests=requests,
                    refusals=refusals,
                    last_used_at=used_at,
                    last_refused_at=used_at if refusals else None,
                    last_ip=client.ip,
                    last_user_agent=client.user_agent,
                    scopes_used=SCOPE_BITS[READ] | (SCOPE_BITS[WRITE] if key.name == "Nightly import" else 0),
                )
            )
    CredentialUsage.objects.bulk_create(rows)
