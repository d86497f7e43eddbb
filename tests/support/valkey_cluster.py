"""A real Valkey cluster: three nodes that share the slots. Each ends with the context or the test process."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis, RedisError

from tests.support.launch import first_that_starts, free_port, start, stop, valkey_program, wait_until

SLOTS = 16384


class Node:
    """One node; `url` is what REDIS_URL wants for the whole cluster."""

    def __init__(self, port: int, folder: Path) -> None:
        bus = free_port()
        command = [valkey_program(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
        command += ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-config-file", f"{port}.conf"]
        self.port, self.bus, self.url = port, bus, f"redis+cluster://127.0.0.1:{port}"
        self.client = Redis(port=port, socket_timeout=5)
        self.process = start(command, output=subprocess.DEVNULL)
        wait_until(self.answers, self.process, "Valkey")

    def answers(self) -> bool:
        with Redis(port=self.port, socket_connect_timeout=1, retry=None) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    def is_in_order(self, nodes: int) -> bool:
        info = self.client.execute_command("CLUSTER INFO")
        return (info["cluster_state"], info["cluster_known_nodes"]) == ("ok", str(nodes))

    def count_keys(self) -> int:
        return int(self.client.dbsize())

    def stop(self) -> None:
        """End the node, and with it the cluster: its slots are on no other."""
        self.client.close()
        stop(self.process)


@contextmanager
def valkey_cluster(count: int = 3) -> Iterator[list[Node]]:
    """Run a cluster; yield its nodes once each knows the others."""
    with tempfile.TemporaryDirectory(prefix="spatialflow-valkey-") as folder, ExitStack() as stack:
        nodes = []
        for _ in range(count):
            nodes.append(first_that_starts(lambda port: Node(port, Path(folder))))
            stack.callback(nodes[-1].stop)
        for number, node in enumerate(nodes):
            first, last = SLOTS * number // count, SLOTS * (number + 1) // count - 1
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            node.client.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port, nodes[0].bus)
        deadline = time.monotonic() + 30
        while not all(node.is_in_order(count) for node in nodes):
            assert time.monotonic() < deadline, "the cluster does not come together"
            time.sleep(0.05)
        yield nodes
