"""The official SDK in a process of its own, where the name `spatialflow` is the SDK's and not ours: run with `python
-I`, outside of the project's folder.

Each line of standard input asks for one thing, in JSON; the answer is one line of JSON. `tests/support/sdk.py` is the
other end. Nothing of the SDK is replaced: what a caller of it gets is what this prints.
"""

import asyncio
import functools
import inspect
import json
import re
import sys
from datetime import datetime
from typing import Any

from spatialflow._generated.spatialflow_generated import api as generated
from spatialflow._generated.spatialflow_generated.exceptions import ApiException

import spatialflow

PATIENCE = 20  # seconds for one answer
API_OF_METHOD: dict[str, type] = {
    method: api
    for api in vars(generated).values()
    if inspect.isclass(api)
    for method in vars(api)
    if method.startswith("apps_")
}


class Caller:
    """One credential, or none: the high-level client, which cannot be without, and the generated one beside it."""

    def __init__(self, url: str, credential: dict[str, str]) -> None:
        self.client = spatialflow.SpatialFlow(**credential, base_url=url) if credential else None
        configuration = spatialflow.Configuration(host=url, access_token=credential.get("access_token"))
        if "api_key" in credential:
            configuration.api_key = {"APIKeyBearer": credential["api_key"]}
        self.api_client = spatialflow.ApiClient(configuration)
        self.api_client.user_agent = f"spatialflow-python/{spatialflow.__version__}"

    def find(self, name: str, method: str) -> Any:
        """Return the high-level method `resource.method` if there is one, else the generated one."""
        resource, _, simple = name.partition(".")
        if found := getattr(getattr(self.client, resource, None), simple, None):
            return found
        return self.find_generated(method)

    def find_generated(self, method: str) -> Any:
        return getattr(API_OF_METHOD[method.removesuffix("_without_preload_content")](self.api_client), method)

    async def call(self, name: str, method: str, arguments: dict[str, Any]) -> Any:
        """Return what the SDK makes of the service's answer."""
        return written(await self.find(name, method)(**read(arguments)))

    async def call_unread(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the service's answer to the SDK's request before the SDK reads it."""
        call = self.find_generated(f"{method}_without_preload_content")
        response = await call(**read(arguments))
        return {"status": response.status, "headers": dict(response.headers), "text": (await response.read()).decode()}

    async def paginate(self, helper: str, limit: int) -> dict[str, Any]:
        """Return what one of the SDK's pagination helpers yields, and how many pages it asked for."""
        pages = []

        async def fetch(offset: int, limit: int) -> Any:
            pages.append(await self.client.geofences.list(offset=offset, limit=limit))
            return pages[-1]

        paginator = getattr(spatialflow, helper)(fetch, limit=limit)
        items = [written(item) async for item in paginator]
        return {"items": items, "pages": len(pages), "total_count": paginator.total_count}


def read(value: Any) -> Any:
    """Return the value with the SDK's models and moments in it, built as the other end says."""
    if isinstance(value, list):
        return [read(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$from_dict" in value:
        return getattr(spatialflow.models, value["$from_dict"]).from_dict(value["fields"])
    if "$built" in value:
        return getattr(spatialflow.models, value["$built"])(*read(value["values"]), **read(value["fields"]))
    if "$moment" in value:
        return datetime.fromisoformat(value["$moment"])
    return {name: read(item) for name, item in value.items()}


def written(value: Any) -> Any:
    """Return what the SDK returned as plain data: its models as the dicts they make of themselves."""
    if isinstance(value, list):
        return [written(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def in_the_apis_form(at: datetime) -> str:
    """Return the moment as the service wrote it."""
    return at.isoformat().replace("+00:00", "Z")


def error_json(error: Exception) -> dict[str, Any]:
    """Return what a caller can read from the exception, in the SDK's own classes where it has one for it."""
    if isinstance(error, ApiException):
        error = spatialflow.translate_exception(error)
    official = isinstance(error, spatialflow.SpatialFlowError)
    kind = type(error).__name__ if official else f"{type(error).__module__}.{type(error).__name__}"
    known = ("status_code", "detail", "error_code", "retry_after")
    return {"kind": kind, "text": str(error), **{name: getattr(error, name, None) for name in known}}


@functools.cache
def source_of(module: str) -> str:
    return inspect.getsource(sys.modules[module])


def describe(methods: list[str]) -> dict[str, Any]:
    """Return where the SDK comes from, and the request line of each generated method."""
    requests = {}
    for method in methods:
        source = source_of(API_OF_METHOD[method].__module__)
        request = source[source.index(f"def _{method}_serialize(") :]
        found = re.search(r"method='([A-Z]+)',\s+resource_path='([^']+)'", request)
        requests[method] = " ".join(found.groups()) if found else ""
    return {"version": spatialflow.__version__, "file": spatialflow.__file__, "requests": requests}


async def answer(callers: dict[str, Caller], question: dict[str, Any]) -> dict[str, Any]:
    """Return `result`, or `error` with the exception that the SDK raised."""
    task, arguments = question["task"], question["arguments"]
    if task == "describe":
        return {"result": describe(**arguments)}
    key = json.dumps([question["url"], question["credential"]])
    if key not in callers:
        callers[key] = Caller(question["url"], question["credential"])
    try:
        async with asyncio.timeout(PATIENCE):
            return {"result": await getattr(callers[key], task)(**arguments)}
    except Exception as error:
        return {"error": error_json(error)}


async def main() -> None:
    """Answer line by line until standard input ends, as it does with the tests."""
    callers: dict[str, Caller] = {}
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await answer(callers, json.loads(line)), default=in_the_apis_form), flush=True)
    for caller in callers.values():
        await caller.api_client.close()
        if caller.client:
            await caller.client.close()


asyncio.run(main())
