"""``page``: lists that go round in circles, end early, point elsewhere.

Strikes GETs that answer with a list; ``expire`` those that carry a page token. Threads: loops in
microsoft-graph-docs#4897 and #6754, empty pages in #21635, short lists in msgraph-sdk-powershell#2534, expired tokens
in msgraph-sdk-dotnet#2254.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from graphkit.sandbox.areas import ROUTER
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.actions import Action, Struck, action
from graphkit.sandbox.faults.rules import Asked
from graphkit.sandbox.faults.telling import refuse, stated, telling
from graphkit.sandbox.query.listing import Query, next_link, position, without_token

NEXT = "@odata.nextLink"
COUNT = "@odata.count"
LOOK_BACK = 50
EVIL = "evil.example"
TOKENS = ("$skiptoken=", "$deltatoken=", "%24skiptoken=", "%24deltatoken=")


EXPIRED = ("status", "code", "message", "headers")


@action(
    "page",
    {
        "mode": checks.one_of("loop", "cycle", "empty", "repeat", "expire", "foreign", "truncate", "count"),
        "length": checks.COUNT,
        "link": checks.one_of("host", "lookalike", "cloud", "scheme", "port", "userinfo", "dot"),
        "by": checks.WHOLE,
        **telling(*EXPIRED),
    },
    required=("mode",),
)
class PageAction(Action):
    def check(self, spec: Json) -> None:
        own = {"length": "cycle", "link": "foreign", "by": "count", **dict.fromkeys(EXPIRED, "expire")}
        for key, mode in own.items():
            if key in spec and spec["mode"] != mode:
                raise ValueError(f"{key!r} is for the mode {mode!r} only")

    def is_outcome(self, spec: Json) -> bool:
        return bool(spec["mode"] == "expire")

    def fits(self, spec: Json, asked: Asked) -> bool:
        incoming = asked.incoming
        if incoming.method != "GET" or asked.login or not _is_list(incoming.path, incoming.version):
            return False
        return spec["mode"] != "expire" or any(token in incoming.query for token in TOKENS)

    def before(self, struck: Struck) -> Reply | None:
        return _expired(struck)

    def executed(self, struck: Struck, call: Call, reply: Reply) -> None:
        page = reply.body
        if reply.status != 200 or not isinstance(page, dict) or not isinstance(page.get("value"), list):
            return
        if _MODES[struck.spec["mode"]](struck, call, page):
            struck.hit()


def _is_list(path: str, version: str) -> bool:
    """Whether the path is that of a collection: what it ends with is no key."""
    if path.lower().endswith("/delta"):
        return True
    try:
        route, _ = ROUTER.find("GET", path, version)
    except Refusal:
        return False
    return not route.template.endswith("}")


def _expired(struck: Struck) -> Reply:
    """The page token is too old (concepts/delta-query-overview.md for those of delta queries)."""
    spec, asked = struck.spec, struck.asked
    status, code, message = 410, "resyncRequired", "The page token is no longer valid. Begin again."
    headers: dict[str, str] = {}
    if asked.lower.endswith("/delta"):
        code, message = "syncStateNotFound", "The sync state generation is not found."
        incoming = asked.incoming
        headers["Location"] = f"{incoming.base}/{incoming.version}{incoming.path}?$deltatoken="
    elif asked.workload == "identity":
        status, code = 400, "Directory_ExpiredPageToken"
        message = "The specified page token value has expired and can no longer be included in your request."
    headers |= stated(spec, asked.now)
    return refuse(
        struck, Refusal(spec.get("status", status), spec.get("code", code), spec.get("message", message), headers)
    )


# -- modes: each changes a page, and says whether it has -------------------------------------------------------------


def _own(call: Call) -> str:
    return f"{call.root}{call.path}" + (f"?{call.query.text}" if call.query.text else "")


def _loop(struck: Struck, call: Call, page: Json) -> bool:
    page[NEXT] = _own(call)
    return True


def _cycle(struck: Struck, call: Call, page: Json) -> bool:
    """After ``length`` pages, or the last, comes the first one that was struck."""
    walks = struck.rule.memory
    walk = f"{call.path}?{without_token(call.query)}"
    seen = walks.setdefault(walk, {"first": _own(call), "pages": 0})
    seen["pages"] += 1
    if seen["pages"] < struck.spec.get("length", 3) and NEXT in page:
        return False
    page[NEXT] = seen["first"]
    del walks[walk]
    return True


def _empty(struck: Struck, call: Call, page: Json) -> bool:
    """Nothing here; the same place again under another token."""
    page["value"] = []
    page[NEXT] = next_link(call, *position(call, again=True))
    return True


def _repeat(struck: Struck, call: Call, page: Json) -> bool:
    """The last item of the page before comes once more."""
    start, _ = position(call)
    shown = [item.get("id") for item in page["value"]]
    for back in range(1, min(start, LOOK_BACK) + 1):
        item = _item_at(call, start - back)
        if item is not None and item.get("id") not in shown:
            page["value"] = [item, *page["value"]]
            return True
    return False


def _item_at(call: Call, start: int) -> Json | None:
    link = next_link(call, start)
    options = {**call.query.options, "$top": "1", "$skiptoken": link.rpartition("$skiptoken=")[2]}
    query, call.query = call.query, Query(options, call.query.text)
    try:
        route, _ = ROUTER.find("GET", call.path, call.version)
        found = route.handler(call).body["value"]
    finally:
        call.query = query
    return found[0] if found else None


def _foreign(struck: Struck, call: Call, page: Json) -> bool:
    parts = urlsplit(page.get(NEXT) or _own(call))
    scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    at = f":{port}" if port else ""
    elsewhere = {
        "host": ("https", EVIL),
        "lookalike": (scheme, f"{host}.{EVIL}{at}"),
        "cloud": ("https", "graph.microsoft.com" if host == "graph.microsoft.us" else "graph.microsoft.us"),
        "scheme": ("http" if scheme == "https" else "https", parts.netloc),
        "port": (scheme, f"{host}:{(port or 443) + 1}"),
        "userinfo": (scheme, f"{parts.netloc}@{EVIL}"),
        "dot": (scheme, f"{host}.{at}"),
    }
    page[NEXT] = urlunsplit(parts._replace(**_named(*elsewhere[struck.spec.get("link", "host")])))
    return True


def _named(scheme: str, netloc: str) -> dict[str, Any]:
    return {"scheme": scheme, "netloc": netloc}


def _truncate(struck: Struck, call: Call, page: Json) -> bool:
    return page.pop(NEXT, None) is not None


def _count(struck: Struck, call: Call, page: Json) -> bool:
    if COUNT not in page:
        return False
    page[COUNT] = max(0, page[COUNT] + int(struck.spec.get("by", -1)))
    return True


_MODES: dict[str, Callable[[Struck, Call, Json], bool]] = {
    "loop": _loop,
    "cycle": _cycle,
    "empty": _empty,
    "repeat": _repeat,
    "foreign": _foreign,
    "truncate": _truncate,
    "count": _count,
}
