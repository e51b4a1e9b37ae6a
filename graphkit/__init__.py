"""graphkit: bulk changes to large Microsoft 365 tenants, planned, paced, resumable, provable.

The public names are loaded on first use, so that ``import graphkit`` costs next to nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # typing's constant, known to type checkers by its name; typing itself costs 8 ms
if TYPE_CHECKING:
    from graphkit.client import GraphClient as GraphClient
    from graphkit.client.snapshot import DeltaSnapshot as DeltaSnapshot
    from graphkit.engine.resource import PlanOptions as PlanOptions
    from graphkit.errors import AuthError as AuthError
    from graphkit.errors import Blocked as Blocked
    from graphkit.errors import GraphkitError as GraphkitError
    from graphkit.errors import IncompleteList as IncompleteList
    from graphkit.errors import InputErrors as InputErrors
    from graphkit.errors import OutcomeUnknown as OutcomeUnknown
    from graphkit.errors import ResyncRequired as ResyncRequired
    from graphkit.errors import ServiceError as ServiceError
    from graphkit.errors import Stopped as Stopped
    from graphkit.jobs import Asked as Asked
    from graphkit.jobs import Manner as Manner
    from graphkit.jobs import Summary as Summary
    from graphkit.jobs import apply as apply
    from graphkit.jobs import plan as plan
    from graphkit.jobs import undo as undo
    from graphkit.jobs import validate as validate
    from graphkit.protocol.message import Idempotency as Idempotency
    from graphkit.protocol.message import Request as Request
    from graphkit.protocol.message import Response as Response
    from graphkit.session import connect as connect
    from graphkit.session import open_session as open_session
    from graphkit.settings import load as load_settings

_EXPORTS = {
    "Asked": "graphkit.jobs",
    "AuthError": "graphkit.errors",
    "Blocked": "graphkit.errors",
    "DeltaSnapshot": "graphkit.client.snapshot",
    "GraphClient": "graphkit.client",
    "GraphkitError": "graphkit.errors",
    "Idempotency": "graphkit.protocol.message",
    "IncompleteList": "graphkit.errors",
    "InputErrors": "graphkit.errors",
    "Manner": "graphkit.jobs",
    "OutcomeUnknown": "graphkit.errors",
    "PlanOptions": "graphkit.engine.resource",
    "Request": "graphkit.protocol.message",
    "Response": "graphkit.protocol.message",
    "ResyncRequired": "graphkit.errors",
    "ServiceError": "graphkit.errors",
    "Stopped": "graphkit.errors",
    "Summary": "graphkit.jobs",
    "apply": "graphkit.jobs",
    "connect": "graphkit.session",
    "load_settings": "graphkit.settings:load",
    "open_session": "graphkit.session",
    "plan": "graphkit.jobs",
    "undo": "graphkit.jobs",
    "validate": "graphkit.jobs",
}

__all__ = [
    "Asked",
    "AuthError",
    "Blocked",
    "DeltaSnapshot",
    "GraphClient",
    "GraphkitError",
    "Idempotency",
    "IncompleteList",
    "InputErrors",
    "Manner",
    "OutcomeUnknown",
    "PlanOptions",
    "Request",
    "Response",
    "ResyncRequired",
    "ServiceError",
    "Stopped",
    "Summary",
    "__version__",
    "apply",
    "connect",
    "load_settings",
    "open_session",
    "plan",
    "undo",
    "validate",
]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'graphkit' has no attribute {name!r}")
    from importlib import import_module

    module, _, inner = _EXPORTS[name].partition(":")
    return getattr(import_module(module), inner or name)
