"""What Intune is born with: the default scope tag and the built-in roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphkit.sandbox.memory.state import State

if TYPE_CHECKING:
    from graphkit.sandbox.seeding.seed import Seed

# deploymenttheory/terraform-provider-microsoft365, docs of the role assignment: the same ids in every tenant.
ROLES: Mapping[str, str] = {
    "Policy and Profile manager": "0bd113fe-6be5-400c-a28f-ae5553f9c0be",
    "School Administrator": "2f9f4f7e-2d13-427b-adf2-361a1eef7ae8",
    "Help Desk Operator": "9e0cc482-82df-4ab2-a24c-0c23a3f52e1e",
    "Application Manager": "c1d9fcbb-cba5-40b0-bf6b-527006585f4b",
    "Endpoint Security Manager": "c56d53a2-73d0-4502-b6bd-4a9d3dba28d5",
    "Read Only Operator": "fa1d7878-e8cb-41a1-8254-0142355c9f84",
    "Intune Role Administrator": "fb2603eb-3c87-4be3-8b5b-d58a5b4a0bc0",
}


def plant_intune(state: State, seed: Seed) -> None:
    """Put it into an empty state, with the seeded devices."""
    tag = {"id": "0", "displayName": "Default", "description": "Default Role Scope Tag", "isBuiltIn": True}
    state.table("roleScopeTags").put({**tag, "assignments": []})
    for name, key in ROLES.items():
        role = {"id": key, "displayName": name, "description": name, "isBuiltIn": True, "isBuiltInRoleDefinition": True}
        # What each allows is not kept here: nothing asks, and the lists change with every release.
        state.table("intuneRoles").put({**role, "rolePermissions": [], "permissions": [], "roleScopeTagIds": ["0"]})
    state.populate("managedDevices", seed.fleet)
    state.populate("devices", seed.fleet.joined)
