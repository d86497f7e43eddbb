"""Clients that go on through a fault, and remember what was acknowledged; afterwards all of it must be there.

They read, make API keys and geofences, and refresh: every refresh is sent by two tabs at once, and a client that gets
no answer asks again with the token it has, as the official one does.
"""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Self

from tests.faults.stage import Finding, Stage, home
from tests.support.race import Answer, call

FENCES = "/api/v1/geofences"
KEYS = "/api/v1/account/api-keys"
REFRESH = "/api/v1/auth/refresh"
POLYGON = {"type": "Polygon", "coordinates": [[[8.5, 47.3], [8.6, 47.3], [8.6, 47.4], [8.5, 47.3]]]}
PAUSE = 0.01  # seconds between two requests of one client: what is looked for are faults, not limits of this machine
NO_ANSWER = Answer(0, {}, None)

ORPHANED_KEYS = """
SELECT (SELECT count(*) FROM apikeys_apikey k WHERE NOT EXISTS (
            SELECT FROM accounts_auditevent e WHERE e.action = 'api_key.created' AND e.resource_id = k.id::text))
     + (SELECT count(*) FROM accounts_auditevent e WHERE e.action = 'api_key.created' AND NOT EXISTS (
            SELECT FROM apikeys_apikey k WHERE k.id::text = e.resource_id))
"""
UNCOUNTED_FENCES = """
SELECT (SELECT count(*) FROM geofences_geofence) - (
    SELECT coalesce(sum(active + active_archived + inactive + inactive_archived), 0) FROM geofences_geofencetotal)
"""


@dataclass(frozen=True)
class Shot:
    """One request as its client saw it; status 0 is a connection that ended without an answer."""

    kind: str
    began: float  # monotonic
    ended: float
    status: int


class Load:
    """The clients; they work within the `with`."""

    def __init__(self, stage: Stage, server: str) -> None:
        self.stage, self.server = stage, server
        self.shots: list[Shot] = []
        self.keys: list[str] = []
        self.fences: list[str] = []
        self.tokens = stage.tokens  # the newest acknowledged refresh token of each sign-in
        self.forked = self.signed_out = 0
        self._over = threading.Event()
        self._clients = ThreadPoolExecutor(16)

    def __enter__(self) -> Self:
        loops: list[Callable[[int], None]] = [self.read, self.read, self.make_key, self.make_fence]
        self._work = [self._clients.submit(self.again, loop, number) for number, loop in enumerate(loops)]
        shares = [list(self.tokens)[first::2] for first in range(2)]
        self._work += [self._clients.submit(self.refresh_all, share) for share in shares]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for work in self._work:
            work.result()
        self._clients.shutdown()

    def send(self, kind: str, method: str, path: str, body: Any = None, headers: Any = None) -> Answer:
        began = time.monotonic()
        try:
            answer = call(self.server, method, path, body, headers)
        except (OSError, HTTPException):
            answer = NO_ANSWER
        self.shots.append(Shot(kind, began, time.monotonic(), answer.status))
        return answer

    def again(self, act: Callable[[int], None], number: int) -> None:
        while not self._over.wait(PAUSE):
            act(number)

    def read(self, number: int) -> None:
        self.send("read", "GET", f"{FENCES}?limit=5", headers=self.stage.person(number))

    def make_key(self, number: int) -> None:
        answer = self.send("key", "POST", KEYS, {"name": "load"}, self.stage.person(number))
        if answer.status == 201:
            self.keys.append(answer.body["api_key"]["api_key"])

    def make_fence(self, number: int) -> None:
        body = {"name": uuid.uuid4().hex, "geometry": POLYGON}
        answer = self.send("fence", "POST", FENCES, body, self.stage.person(number))
        if answer.status == 201:
            self.fences.append(answer.body["id"])

    def refresh_all(self, share: list[int]) -> None:
        """Rotate the tokens of these sign-ins in turn."""
        with ThreadPoolExecutor(2) as tabs:
            while not self._over.is_set():
                for sign_in in [number for number in share if number in self.tokens]:
                    while not self._over.wait(PAUSE) and not self.refresh(sign_in, tabs):
                        time.sleep(0.1)

    def refresh(self, sign_in: int, tabs: ThreadPoolExecutor) -> bool:
        """Refresh in both tabs, and return whether the client may go on to its next sign-in."""
        body, origin = {"refresh_token": self.tokens[sign_in]}, {"X-Forwarded-For": home(1000 + sign_in)}
        answers = [tabs.submit(self.send, "refresh", "POST", REFRESH, body, origin) for _ in range(2)]
        found = [answer.result() for answer in answers]
        successors = {answer.body["refresh_token"] for answer in found if answer.status == 200}
        if successors:
            self.forked += len(successors) > 1
            self.tokens[sign_in] = next(iter(successors))
        elif any(answer.status == 401 for answer in found):
            self.signed_out += 1
            del self.tokens[sign_in]
        return bool(successors) or sign_in not in self.tokens

    def statuses(self, since: float, until: float) -> Counter[int]:
        """Count the answers to what was asked between two moments."""
        return Counter(shot.status for shot in self.shots if since <= shot.began < until)

    def judge_what_was_acknowledged(self, finding: Finding) -> None:
        """Use every acknowledged key and refresh token, and look for every fence and for halves of anything."""
        value = self.stage.database.value
        with ThreadPoolExecutor(8) as pool:
            keys = Counter(
                pool.map(lambda key: call(self.server, "GET", FENCES, None, {"X-API-KEY": key}).status, self.keys)
            )
            tokens = Counter(pool.map(self._still_works, list(self.tokens)))
        fences = value("SELECT count(*) FROM geofences_geofence WHERE id = ANY(%s::uuid[])", self.fences)
        revoked = value("SELECT count(*) FROM accounts_signin WHERE revoked_at IS NOT NULL")
        finding.figures["acknowledged and there"] = f"{keys[200]} keys, {fences} fences, {tokens[200]} refresh tokens"
        finding.expect(set(keys) <= {200}, f"of the acknowledged keys some do not work: {dict(keys)}")
        finding.expect(fences == len(self.fences), f"{len(self.fences) - fences} acknowledged fences are gone")
        finding.expect(set(tokens) <= {200}, f"of the acknowledged refresh tokens some do not work: {dict(tokens)}")
        finding.expect(not revoked and not self.signed_out, f"{max(revoked, self.signed_out)} clients were signed out")
        finding.expect(self.forked == 0, f"{self.forked} refresh tokens had two successors")
        finding.expect(len(self.keys) > 5 and len(self.fences) > 5, "the load wrote next to nothing")
        finding.expect(value(ORPHANED_KEYS) == 0, "keys without their audit event, or the reverse")
        finding.expect(value(UNCOUNTED_FENCES) == 0, "the total of fences is not what there are")

    def _still_works(self, sign_in: int) -> int:
        origin = {"X-Forwarded-For": home(1000 + sign_in)}
        answer = call(self.server, "POST", REFRESH, {"refresh_token": self.tokens[sign_in]}, origin)
        if answer.status == 200:
            self.tokens[sign_in] = answer.body["refresh_token"]
        return answer.status
