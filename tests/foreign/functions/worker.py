"""Microsoft's Python worker library loads a function app and calls it: ``python worker.py FOLDER``.

Runs on the worker's own Python and imports nothing of the tests. Reads calls from standard input, a JSON object a line:
``{"function", "data", "metadata"}``, where data are the trigger's arguments as the host sends them. Writes one JSON
object: what was indexed, and the answer to each call. What the host and the worker exchange are protocol buffers; here
plain objects with the same fields stand for them, since the library takes their types from its caller.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from types import SimpleNamespace


class _Names(type):
    """An enumeration's members are their names."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class Field(metaclass=_Names):
    """Any message: the fields that it was made with."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def WhichOneof(self, _):  # noqa: N802 - the name that protocol buffers give it
        return next(iter(self.__dict__), None)


class Binding(Field):
    """The one message whose enumeration is compared with numbers."""

    out, inout = 1, 2


class Protocol:
    """Any message type, by name."""

    BindingInfo = Binding

    def __getattr__(self, name):
        return type(name, (Field,), {})


def plain(value):
    if isinstance(value, Field):
        return {name: plain(each) for name, each in vars(value).items()}
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


def typed(value):
    """A trigger's argument: HTTP requests are objects with a method, all else is text."""
    if isinstance(value, dict) and "method" in value:
        body = Field(bytes=value.pop("body", "").encode())
        return Field(http=Field(body=body, **{"headers": {}, "params": {}, "query": {}, **value}))
    return Field(json=json.dumps(value)) if isinstance(value, dict) else Field(string=value)


async def main(folder):
    from azure_functions_runtime import handle_event as worker

    properties = {"host": "127.0.0.1", "protos": Protocol()}
    init = SimpleNamespace(capabilities={}, function_app_directory=folder)
    begun = await worker.worker_init_request(
        SimpleNamespace(request=SimpleNamespace(worker_init_request=init), properties=properties)
    )
    if begun.result.status != "Success":
        sys.exit(begun.result.exception.message)
    told = await worker.functions_metadata_request(None)
    ids = {each.name: each.function_id for each in told.function_metadata_results}
    answers = []
    for line in sys.stdin:
        call = json.loads(line)
        request = SimpleNamespace(
            invocation_id="1",
            function_id=ids[call["function"]],
            input_data=[Field(data=typed(value), name=name) for name, value in call["data"].items()],
            trigger_metadata={name: typed(value) for name, value in call.get("metadata", {}).items()},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        answers.append(
            await worker.invocation_request(
                SimpleNamespace(request=SimpleNamespace(invocation_request=request), properties=properties)
            )
        )
    print(json.dumps({
        "python": list(sys.version_info[:2]),
        "functions": [
            {"name": each.name, "bindings": [json.loads(binding) for binding in each.raw_bindings]}
            for each in told.function_metadata_results
        ],
        "answers": [plain(each) for each in answers],
    }))  # fmt: skip


if __name__ == "__main__":
    app = os.path.abspath(sys.argv[1])
    sys.path.insert(0, app)  # as the host does
    asyncio.run(main(app))
