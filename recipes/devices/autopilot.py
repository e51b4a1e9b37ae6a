"""devices.autopilot: devices imported by their hardware hash, and the group tags of those that are there."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel, Key, Upn
from graphkit.recipe import Inputs, Recipe

KIND = "autopilotDevice"
_TAG = re.compile(r"([A-Z0-9]{1,9})(?:[^A-Za-z0-9].*)?")


def _check_tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise ValueError("does not start with an organisation's code, such as RX1-Wards")
    return text


def _check_hash(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("is not base64 text, as the collecting script writes it") from None
    return text


def _empty_is_none(value: Any) -> Any:
    return value or None


class Device(InputModel):
    """One row; the headings of the collecting script are understood."""

    serial: Key = Field(description="serial number (Device Serial Number)")
    product_id: str = Field(default="", description="Windows Product ID; may be empty")
    hardware_hash: Annotated[str, AfterValidator(_check_hash)] = Field(
        default="", description="hardware hash, base64; needed for a device that is not registered yet"
    )
    group_tag: Annotated[str, AfterValidator(_check_tag)] = Field(
        description="group tag; starts with the organisation's code, such as RX1-Wards"
    )
    assigned_user: Annotated[Upn | None, BeforeValidator(_empty_is_none)] = Field(
        default=None, description="userPrincipalName of whom the device is for; may be empty"
    )

    @property
    def org(self) -> str:
        found = _TAG.fullmatch(self.group_tag)
        return found[1] if found else ""


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """One device a row; rows of other organisations than ``--org`` ask for nothing."""
    for origin, row in inputs.rows(Device, key=lambda row: row.serial):
        if options.org in ("", row.org):
            yield _device(row, origin)


def _device(row: Device, origin: Origin) -> Desired:
    properties = {
        "groupTag": row.group_tag,
        "productKey": row.product_id,
        "hardwareIdentifier": row.hardware_hash,
        "userPrincipalName": row.assigned_user,
    }
    given = {name: value for name, value in properties.items() if value}
    return Desired(kind=KIND, key=row.serial, origin=origin, properties=given, rails={"org": row.org})


RECIPE = Recipe(
    name="devices.autopilot",
    summary="Windows Autopilot: devices imported in chunks, each followed to its end; group tags by organisation",
    permissions=("DeviceManagementServiceConfig.ReadWrite.All",),
    desired=desired,
    template="autopilot.csv",
    models=(Device,),
    options=("org",),
)
