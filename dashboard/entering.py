"""What the session keeps of somebody who is coming in and is not signed in yet: where they want to go, the address that
they typed, that they have proven their password, a round trip to a provider, and the links that mails led here with.

The session is a signed cookie: its person can read it and nobody can change it. So it never holds a password, and what
proves one is bound to the stored hash and to a few minutes.
"""

import secrets
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import User
from accounts.sessions import drop_confirming
from accounts.tokens import TokenPair
from dashboard import session
from dashboard.pages import own_path
from spatialflow import clock
from sso.login_codes import challenge_of
from sso.saml_serving import Method

MOST_TRIPS = 3  # under way at once in one browser, in tabs of it: the session has to fit a cookie
PATIENCE = 5 * 60  # seconds between the password and the code of the second factor
LONGEST_SECRET = 100  # characters; ours have 43. A browser drops a session of more than 4,096 bytes in all


@dataclass(frozen=True)
class RoundTrip:
    """A way to a provider and back: what binds it to this browser, and where it is begun again."""

    state: str
    verifier: str
    again: str
    code: str = ""  # traded already, but for the second factor
    confirms: bool = False  # whoever is signed in proves by it who they are, and stays signed in as before


def start_over(request: HttpRequest, wanted: str) -> None:
    """Note where to go after the sign-in, and forget what an earlier attempt left."""
    _set_aside(request)
    for name in ("email", "way", "proven", "confirming"):
        request.session.pop(name, None)
    request.session["next"] = own_path(wanted)


def start_confirming(request: HttpRequest, wanted: str) -> None:
    """Note that whoever is signed in goes to a provider to prove who they are, and comes back to `wanted`."""
    start_over(request, wanted)
    request.session["confirming"] = True


def destination(request: HttpRequest) -> str:
    return str(request.session.get("next", "/"))


def arrive(request: HttpRequest, pair: TokenPair, place: str = "") -> HttpResponse:
    """Sign the browser in and send it to `place`, or to where it wanted to go. Links that it still has stay with it,
    and so do round trips that it has begun in other tabs.
    """
    place = place or destination(request)
    _set_aside(request)
    kept = {name: request.session[name] for name in ("links", "other_trips") if request.session.get(name)}
    session.begin(request, pair)
    request.session.update(kept)
    return redirect(place)


def arrive_by(request: HttpRequest, trip: RoundTrip, pair: TokenPair) -> HttpResponse:
    """End a round trip: sign the browser in, or where it was to confirm who is there, let the sign-in that was there go
    on. It is fresh then if the same person has come back, and nothing else changes.
    """
    if not trip.confirms or request.auth is None:
        return arrive(request, pair)
    drop_confirming(pair)
    request.session.pop("round_trip", None)
    if pair.user.id == request.auth.user_id:
        session.freshen(request, pair)
        return redirect(destination(request))
    messages.error(request, f"You signed in there as somebody else, not as {request.auth.email}. Nothing has changed.")
    return redirect(f"/confirm?{urlencode({'next': destination(request)})}")


def keep_address(request: HttpRequest, email: str, way: Method) -> None:
    """Note who wants to sign in, and the identity provider that their address has, if it has one."""
    request.session["email"] = email
    request.session["way"] = asdict(way) if way.workspace_slug else None


def keep_proof(request: HttpRequest, user: User) -> None:
    """Note that the person at the browser has just proven the password of `user`."""
    request.session["proven"] = [str(user.id), int(clock.timestamp()), _fingerprint(user)]


def find_proven(request: HttpRequest) -> User | None:
    """Return whose password was proven within PATIENCE, if it is still that one and the account is active."""
    user_id, proven_at, fingerprint = request.session.get("proven") or ("", 0, "")
    if clock.timestamp() - proven_at > PATIENCE:
        return None
    user = User.objects.filter(id=user_id, is_active=True).first()
    return user if user and constant_time_compare(_fingerprint(user), fingerprint) else None


def _fingerprint(user: User) -> str:
    """Return what changes with the stored password hash and tells nothing of it."""
    return salted_hmac("dashboard.entering", user.password, algorithm="sha256").hexdigest()


def begin_round_trip(request: HttpRequest, again: str) -> dict[str, str]:
    """Note a new round trip beside those under way in other tabs, of which the oldest goes; return what binds it (PKCE,
    RFC 7636) for the request.
    """
    confirms = request.session.pop("confirming", False)
    if confirms:
        again = f"/confirm?{urlencode({'next': destination(request)})}"
    trip = RoundTrip(secrets.token_urlsafe(32), secrets.token_urlsafe(48), again, confirms=confirms)
    _set_aside(request)
    request.session["round_trip"] = asdict(trip)
    challenge = challenge_of(trip.verifier)
    return {"state": trip.state, "code_challenge": challenge, "code_challenge_method": "S256"}


def find_round_trip(request: HttpRequest) -> RoundTrip | None:
    kept = request.session.get("round_trip")
    return RoundTrip(**kept) if kept else None


def take_round_trip(request: HttpRequest, state: str) -> RoundTrip | None:
    """Return the round trip of this browser that ends with `state`, and forget it: each ends once."""
    latest, others = request.session.get("round_trip"), request.session.get("other_trips", [])
    kept = [latest, *others] if latest else others
    found = next((one for one in kept if constant_time_compare(one["state"], state)), None)
    if found is None:
        return None
    if found is latest:
        del request.session["round_trip"]
    request.session["other_trips"] = [one for one in others if one is not found]
    return RoundTrip(**found)


def _set_aside(request: HttpRequest) -> None:
    """Keep the round trip under way for its own tab; one that lacks nothing but a second factor is given up."""
    latest = request.session.pop("round_trip", None)
    if latest and not latest["code"]:
        request.session["other_trips"] = [latest, *request.session.get("other_trips", [])][: MOST_TRIPS - 1]


def keep_code(request: HttpRequest, trip: RoundTrip, code: str) -> None:
    """Note the code for the next try at the second factor of a round trip."""
    request.session["round_trip"] = {**asdict(trip), "code": code}


def keep_link(request: HttpRequest, values: dict[str, str]) -> None:
    """Take the secret of a mailed link out of the address: it stays in no history and is sent nowhere."""
    request.session["links"] = {**request.session.get("links", {}), request.path: values}


def find_link(request: HttpRequest, path: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = request.session.get("links", {}).get(path)
    return found


def drop_link(request: HttpRequest) -> None:
    """Forget the link of this page: it is spent."""
    request.session["links"] = {p: kept for p, kept in request.session.get("links", {}).items() if p != request.path}
