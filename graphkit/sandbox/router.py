"""The router table: ``(method, path template) -> handler``.

Adding an endpoint is one decorated function in the module of its service area: its path, what a token must hold to
call it, and the page of the API reference that describes it::

    @routes.get("/users/{user}/licenseDetails", LICENSES, page="user-list-licensedetails")
    def license_details(call: Call) -> Reply: ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import unquote

from graphkit.sandbox.call import Call, Refusal, Reply
from graphkit.sandbox.permissions import Need
from graphkit.sandbox.schema.check import is_real_path

Handler = Callable[[Call], Reply]

_KEYED = re.compile(r"^([\w.$]+)\((.*)\)$", re.DOTALL)
_RESERVED = re.compile(r"\$|delta$")
"""What follows a collection without being a key."""
_NAMED_KEY = re.compile(r"^(\w+)='(.*)'$", re.DOTALL)


class Route(NamedTuple):
    """An endpoint. ``needs``: of each, one permission; ``page`` is a page of learn.microsoft.com/graph/api."""

    method: str
    template: str
    handler: Handler
    needs: tuple[Need, ...]
    page: str
    beta_only: bool

    @property
    def source(self) -> str:
        view = "beta" if self.beta_only else "1.0"
        return f"https://learn.microsoft.com/graph/api/{self.page}?view=graph-rest-{view}"


class Routes(list[Route]):
    """The endpoints of one service area; with ``beta_only`` all of them are."""

    def __init__(self, *, beta_only: bool = False) -> None:
        super().__init__()
        self._beta_only = beta_only

    def add(
        self, method: str, template: str, *needs: Need, page: str, beta_only: bool = False
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.append(Route(method, template, handler, needs, page, beta_only or self._beta_only))
            return handler

        return register

    def get(self, template: str, *needs: Need, page: str, beta_only: bool = False) -> Callable[[Handler], Handler]:
        return self.add("GET", template, *needs, page=page, beta_only=beta_only)

    def post(self, template: str, *needs: Need, page: str, beta_only: bool = False) -> Callable[[Handler], Handler]:
        return self.add("POST", template, *needs, page=page, beta_only=beta_only)

    def patch(self, template: str, *needs: Need, page: str, beta_only: bool = False) -> Callable[[Handler], Handler]:
        return self.add("PATCH", template, *needs, page=page, beta_only=beta_only)

    def put(self, template: str, *needs: Need, page: str, beta_only: bool = False) -> Callable[[Handler], Handler]:
        return self.add("PUT", template, *needs, page=page, beta_only=beta_only)

    def delete(self, template: str, *needs: Need, page: str, beta_only: bool = False) -> Callable[[Handler], Handler]:
        return self.add("DELETE", template, *needs, page=page, beta_only=beta_only)


class _Node:
    __slots__ = ("literals", "name", "parameter", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.name = ""
        self.routes: dict[str, Route] = {}


class Router:
    """Finds the handler of a path in as many steps as it has segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._insert(route)

    def _insert(self, route: Route) -> None:
        node = self._root
        for segment in route.template.strip("/").split("/"):
            if segment.startswith("{"):
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
                if node.name not in ("", segment[1:-1]):
                    raise ValueError(f"{route.template}: this place is called {{{node.name}}} elsewhere")
                node.name = segment[1:-1]
            else:
                node = node.literals.setdefault(segment.lower(), _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.template} is there twice")
        node.routes[route.method] = route

    def find(self, method: str, path: str, version: str) -> tuple[Route, dict[str, str]]:
        """The route and its parameters. Raises :class:`Refusal`: 400 for no such path, 501 for one not modelled."""
        names = _plainly(segments(path))
        node: _Node | None = self._root
        params: dict[str, str] = {}
        for name in names:
            if node is None:
                break
            node = self._step(node, name, params)
        route = node.routes.get(method) if node is not None else None
        if route is not None and (version == "beta" or not route.beta_only):
            return route, params
        raise _no_route(method, path, names, version)

    @staticmethod
    def _step(node: _Node, name: str, params: dict[str, str]) -> _Node | None:
        lower = name.lower()
        found = node.literals.get(lower) or node.literals.get(lower.removeprefix("microsoft.graph."))
        if found is None and node.parameter is not None and not _RESERVED.match(lower):
            found = node.parameter
            params[found.name] = name
        return found


def segments(path: str) -> list[str]:
    """Path segments, decoded; keys in parentheses become segments of their own.

    ``/teams('1')`` is ``teams, 1``; ``/groups(uniqueName='x')`` is ``groups(uniqueName), x``.
    """
    found: list[str] = []
    for raw in path.strip("/").split("/"):
        name = unquote(raw)
        if name.startswith("graph."):  # the namespace's alias, as Microsoft's SDKs write casts
            name = f"microsoft.{name}"
        keyed = _KEYED.match(name) if name.endswith(")") else None
        if keyed is None:
            found.append(name)
            continue
        head, inner = keyed[1], keyed[2]
        named = _NAMED_KEY.match(inner)
        if named:
            found += [f"{head}({named[1]})", named[2].replace("''", "'")]
        elif inner:
            found += [head, inner.strip("'").replace("''", "'")]
        else:
            found.append(head)
    return found


def _plainly(names: list[str]) -> list[str]:
    """What is below a group's team is below the team: both names are documented (api/channel-archive.md)."""
    if len(names) > 3 and names[0].lower() == "groups" and names[2].lower() == "team":
        return ["teams", names[1], *names[3:]]
    return names


def _no_route(method: str, path: str, names: list[str], version: str) -> Refusal:
    plain = [part for name in names for part in ([name.partition("(")[0]])]
    missing = is_real_path(plain)
    if missing and version == "v1.0":
        return Refusal(400, "BadRequest", f"Resource not found for the segment '{missing}'.")
    return Refusal(
        501,
        "NotModelled",
        f"The simulated tenant does not model {method} /{version}{path}. Microsoft Graph may well answer it.",
    )
