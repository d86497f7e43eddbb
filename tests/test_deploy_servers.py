"""Two servers behind the shipped nginx: both work, and when one dies the other answers what may be repeated."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from geofences.models import Geofence
from tests.support.cast import Actor
from tests.support.launch import Server, launch
from tests.support.proxy import Proxy, proxy

pytestmark = pytest.mark.django_db(transaction=True)
FENCES = "/api/v1/geofences"
READERS = WRITERS = 3
RULES = "max_fails=3 fail_timeout=5s;"


@pytest.fixture
def servers(database_url: str) -> Iterator[list[Server]]:
    ours = {"PUBLIC_URL": settings.PUBLIC_URL, "TRUSTED_PROXY_COUNT": "1"}
    with ExitStack() as stack:
        yield [stack.enter_context(launch(database_url, workers=1, extra_env=ours)) for _ in range(2)]


@pytest.fixture
def front(servers: list[Server]) -> Iterator[Proxy]:
    one, other = (urlsplit(server).netloc for server in servers)
    with proxy(servers[0], {f"server {one} {RULES}": f"server {one} {RULES} server {other} {RULES}"}) as running:
        yield running


class Clients:
    """Programs that read and write without a pause, each noting how it was answered."""

    def __init__(self, front: Proxy, key: str) -> None:
        self.front, self.headers = front, {"X-API-KEY": key}
        self.read: Counter[int] = Counter()
        self.written: dict[str, int] = {}
        self.stop = threading.Event()

    def read_on(self) -> None:
        while not self.stop.is_set():
            self.read[self.front.call("GET", FENCES, headers=self.headers).status] += 1

    def write_on(self, writer: int) -> None:
        for number in range(100_000):
            if self.stop.is_set():
                return
            name = f"{writer}-{number}"
            body = f'{{"name": "{name}", "geometry": {{"type": "Circle", "center": [8, 47], "radius_meters": 9}}}}'
            self.written[name] = self.front.call("POST", FENCES, body=body.encode(), headers=self.headers).status


def answered(front: Proxy, server: Server) -> bool:
    return f'"upstream":"{urlsplit(server).netloc}","upstream_status":"20' in front.log.read_text()


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_when_a_server_dies_the_other_answers(servers: list[Server], front: Proxy, alice: Actor):
    clients = Clients(front, alice.make_key()[1])
    with ThreadPoolExecutor(READERS + WRITERS) as pool:
        try:
            work = [pool.submit(clients.read_on) for _ in range(READERS)]
            work += [pool.submit(clients.write_on, writer) for writer in range(WRITERS)]
            wait_for(lambda: all(answered(front, server) for server in servers))
            os.killpg(servers[1].process.pid, signal.SIGKILL)
            before = sum(clients.read.values()), len(clients.written)
            wait_for(lambda: sum(clients.read.values()) > before[0] + 50 and len(clients.written) > before[1] + 50)
        finally:
            clients.stop.set()
        for each in work:
            each.result()  # no client lost its connection

    assert set(clients.read) == {200}
    statuses = Counter(clients.written.values())
    assert set(statuses) <= {201, 502}
    assert statuses[502] <= WRITERS  # what was under way at that moment, and nothing later
    kept = Counter(Geofence.objects.filter(workspace=alice.workspace).values_list("name", flat=True))
    assert {name for name, status in clients.written.items() if status == 201} <= set(kept)
    assert set(kept.values()) == {1}  # nothing was acted on twice
