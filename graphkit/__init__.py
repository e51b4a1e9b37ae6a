"""graphkit: bulk changes to large Microsoft 365 tenants, planned, paced, resumable, provable.

The public names are loaded on first use, so that ``import graphkit`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from graphkit.clock import Clock as Clock
    from graphkit.errors import GraphkitError as GraphkitError

_EXPORTS = {
    "Clock": "graphkit.clock",
    "GraphkitError": "graphkit.errors",
}

__all__ = ["Clock", "GraphkitError", "__version__"]


def __getattr__(name: str) -> object:
    try:
        module = _EXPORTS[name]
    except KeyError:
        raise AttributeError(f"module 'graphkit' has no attribute {name!r}") from None
    return getattr(importlib.import_module(module), name)
