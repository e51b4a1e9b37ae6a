"""devices.org-scope: who administers which organisation's devices: scope tags, groups and role assignments. Beta."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Flag, InputModel, Key, Org
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.groups import security_group

NAME = "devices.org-scope"
ROLE = "Help Desk Operator"


class Scope(InputModel):
    """One row: an organisation."""

    org: Org = Field(description="organisation code")
    name: Key = Field(description="what the organisation is called; name of its scope tag")
    admin_group: Key = Field(description="displayName of the group of its administrators; made if it is not there")
    device_prefix: str = Field(
        default="", pattern=r'^[^"`]*$', description="devices whose name begins so are its own; default: the code and -"
    )
    role: str = Field(default="", description=f"role of Intune for its administrators; default: {ROLE}")
    administrative_unit: Flag = Field(default=False, description="true: an administrative unit of that name too")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """Tag, groups, role assignment, row by row; rows of other organisations than ``--org`` ask for nothing."""
    for origin, row in inputs.rows(Scope, key=lambda row: row.org):
        if options.org not in ("", row.org):
            continue
        if options.allow_beta:
            yield from _scope(row, origin)
        else:
            message = "scope tags exist in Graph's beta only: --allow-beta permits them"
            inputs.problems.add(origin.file, origin.place, "needs-beta", message)


def _scope(row: Scope, origin: Origin) -> Iterator[Desired]:
    admins, devices = f"{row.org.lower()}.intune.admins", f"{row.org.lower()}.intune.devices"
    prefix = row.device_prefix or f"{row.org}-"
    rails = {"org": row.org}
    tag = {"displayName": row.name, "recipe": NAME}
    yield Desired(kind="roleScopeTag", key=row.org, origin=origin, properties=tag, rails=rails)
    yield _group(admins, row.admin_group, origin, rails)
    dynamic = {
        "groupTypes": ["DynamicMembership"],
        "membershipRule": f'(device.displayName -startsWith "{prefix}")',
        "membershipRuleProcessingState": "On",
    }
    yield _group(devices, f"{row.org} devices", origin, rails, **dynamic)
    if row.administrative_unit:
        unit = {"displayName": row.name, "recipe": NAME}
        yield Desired(kind="administrativeUnit", key=row.org, origin=origin, properties=unit, rails=rails)
    yield Desired(
        kind="roleScopeTag.assignment",
        key=row.org,
        origin=origin,
        properties={"include": [f"group:{devices}"], "exclude": [], "policy": row.org},
        needs=(("group", devices),),
        rails=rails,
    )
    yield Desired(
        kind="intuneRoleAssignment",
        key=row.org,
        origin=origin,
        properties={
            "displayName": f"{row.org} {row.role or ROLE}",
            "role": row.role or ROLE,
            "members": [admins],
            "resourceScopes": [devices],
            "roleScopeTagIds": [row.org],
            "recipe": NAME,
        },
        needs=(("group", admins), ("group", devices), ("roleScopeTag", row.org)),
        rails=rails,
    )


def _group(key: str, name: str, origin: Origin, rails: dict[str, Any], **more: Any) -> Desired:
    properties = {**security_group(key, name), **more}
    return Desired(kind="group", key=key, origin=origin, properties=properties, rails=rails)


RECIPE = Recipe(
    name=NAME,
    summary="Scope tags, groups and role assignments of Intune for each organisation (Graph beta)",
    permissions=(
        "DeviceManagementRBAC.ReadWrite.All",
        "Group.ReadWrite.All",
        "AdministrativeUnit.ReadWrite.All",
    ),
    desired=desired,
    template="org_scope.csv",
    models=(Scope,),
    options=("org", "adopt", "allow_beta"),
    trial=PlanOptions(allow_beta=True),
)
