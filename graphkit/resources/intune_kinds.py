"""One class for each kind of Intune policy, and for what belongs to it: all of it told by its endpoint."""

from __future__ import annotations

from graphkit.resources.app_protection import AppProtections
from graphkit.resources.assignments import PolicyAssignments
from graphkit.resources.intune import BY_KIND
from graphkit.resources.intune_policies import IntunePolicies
from graphkit.resources.managed_apps import ManagedApps

PARTS = {"": IntunePolicies, ".assignment": PolicyAssignments, ".apps": ManagedApps}


def __getattr__(name: str) -> type:
    """``deviceConfiguration``, ``deviceConfiguration.assignment``: the class of that kind, made when asked for."""
    kind, dot, part = name.partition(".")
    if kind not in BY_KIND or dot + part not in PARTS:
        raise AttributeError(name)
    base = AppProtections if not dot and BY_KIND[kind].path.startswith("/deviceAppManagement/") else PARTS[dot + part]
    told = {"kind": name, "endpoint": BY_KIND[kind], "__module__": __name__}
    made: type = type(kind, (base,), told | ({"goes_with": frozenset({kind})} if dot else {}))
    globals()[name] = made
    return made
