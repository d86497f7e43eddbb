"""The official SDK, as tests call it: by an operation's name, through a long-lived process that has nothing of ours.

    client = sdk.client(api_key=raw)
    client.call("geofences.list", limit=10)     # what the SDK returns, as plain data
    client.refused("geofences.list", limit=10)  # the exception that it raises

Arguments are those of the SDK's method; `from_dict`, `built` and `moment` stand for its models and for datetimes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.sdk_operations import ONLY_REFUSE, OPERATIONS, carried_out


@dataclass(frozen=True)
class Refusal:
    """An exception of the SDK: its class, and what a caller reads from it."""

    kind: str
    status_code: int | None
    detail: str | None
    error_code: str | None
    retry_after: int | None = None


class UnexpectedRefusal(AssertionError):
    """A call that should have succeeded, with the exception that the SDK raised."""


@dataclass(frozen=True)
class Answer:
    """An answer of the service that the SDK did not read."""

    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Driver:
    """The process that runs the SDK. It ends when its input does, whatever becomes of the tests."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, task: str, arguments: dict[str, Any], url: str = "", credential: Any = None) -> dict[str, Any]:
        question = {"task": task, "arguments": arguments, "url": url, "credential": credential or {}}
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The process that runs the SDK ended; what it said is on standard error.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def describe(self) -> dict[str, Any]:
        """Return the SDK's `version` and `file`, and under `requests` the request line of every operation by name."""
        facts: dict[str, Any] = self.ask("describe", {"methods": list(OPERATIONS.values())})["result"]
        facts["requests"] = {name: facts["requests"][method] for name, method in OPERATIONS.items()}
        return facts


@contextmanager
def start_driver() -> Iterator[Driver]:
    """Run the SDK isolated (-I) and from the root folder, so that `spatialflow` is the SDK, and past any proxy."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("sdk_driver.py"))]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd="/", env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield Driver(process)


@dataclass
class Sdk:
    """The SDK, pointed at a server."""

    driver: Driver
    url: str

    def client(self, **credential: str) -> "Client":
        """Return a client with `api_key`, with `access_token`, or with neither."""
        return Client(self, credential)


@dataclass
class Client:
    """One client of the SDK, with one credential or none."""

    sdk: Sdk
    credential: dict[str, str]

    def call(self, name: str, **arguments: Any) -> Any:
        """Return what the SDK returns. Raises UnexpectedRefusal."""
        answer = self._ask("call", {"name": name, "method": OPERATIONS[name], "arguments": arguments})
        if "error" in answer:
            raise UnexpectedRefusal(f"{name}: {answer['error']}")
        carried_out.add(name)
        return answer["result"]

    def refused(self, name: str, **arguments: Any) -> Refusal:
        """Return the exception that the SDK raises. Raises AssertionError when it raises none."""
        answer = self._ask("call", {"name": name, "method": OPERATIONS[name], "arguments": arguments})
        assert "error" in answer, f"{name} was not refused: {answer['result']}"
        error = {key: value for key, value in answer["error"].items() if key != "text"}
        if error["status_code"] is not None and error["status_code"] == ONLY_REFUSE.get(name):
            carried_out.add(name)
        return Refusal(**error)

    def unread(self, name: str, **arguments: Any) -> Answer:
        """Return the service's answer as it came, for operations whose good answers the SDK cannot read."""
        answer = self._ask("call_unread", {"method": OPERATIONS[name], "arguments": arguments})
        assert "error" not in answer, f"{name}: {answer}"
        if answer["result"]["status"] < 400:
            carried_out.add(name)
        return Answer(**answer["result"])

    def paginate(self, helper: str, limit: int) -> Any:
        """Return the `items` that the SDK's helper yields, its `total_count`, and the number of `pages` it read."""
        answer = self._ask("paginate", {"helper": helper, "limit": limit})
        if "error" in answer:
            raise UnexpectedRefusal(f"{helper}: {answer['error']}")
        carried_out.add("geofences.list")
        return answer["result"]

    def _ask(self, task: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self.sdk.driver.ask(task, arguments, self.sdk.url, self.credential)


def from_dict(model: str, **fields: Any) -> dict[str, Any]:
    """Stand for `models.<model>.from_dict({...})`."""
    return {"$from_dict": model, "fields": fields}


def built(model: str, *values: Any, **fields: Any) -> dict[str, Any]:
    """Stand for `models.<model>(...)`."""
    return {"$built": model, "values": list(values), "fields": fields}


def moment(at: datetime) -> dict[str, str]:
    """Stand for a datetime."""
    return {"$moment": at.isoformat()}
