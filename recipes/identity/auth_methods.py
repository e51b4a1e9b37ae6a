"""identity.auth-methods: which ways to sign in the tenant allows, and for whom, without leaving anybody outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel
from graphkit.recipe import Inputs, Recipe

METHODS = (
    "email", "externalAuthenticationMethod", "fido2", "hardwareOath", "microsoftAuthenticator", "qrCodePin", "sms",
    "softwareOath", "temporaryAccessPass", "voice", "x509Certificate",
)  # fmt: skip
"""https://learn.microsoft.com/graph/api/resources/authenticationmethodspolicies-overview"""
OWN = ("@odata.type", "id", "state", "includeTargets", "excludeTargets")


class Method(InputModel):
    """One method."""

    state: Literal["enabled", "disabled"] = Field(description="enabled or disabled")
    targets: list[str] | None = Field(
        default=None, min_length=1, description='groups by name or id, or "All users"; not given: left as it is'
    )
    exclude: list[str] | None = Field(default=None, description="groups that may not use it; not given: left as it is")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="further properties of the method's configuration as Graph has them"
    )

    @field_validator("settings")
    @classmethod
    def _leave_ours(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if own := sorted(set(OWN).intersection(settings)):
            raise ValueError(f"{own[0]} has a key of its own here")
        return settings


class Methods(InputModel):
    """The whole file."""

    methods: dict[str, Method] = Field(min_length=1, description=f"method: its rules; one of {', '.join(METHODS)}")

    @field_validator("methods")
    @classmethod
    def _known(cls, methods: dict[str, Method]) -> dict[str, Method]:
        known = {name.lower() for name in METHODS}
        if unknown := [name for name in methods if name.lower() not in known]:
            raise ValueError(f"{unknown[0]} is no authentication method; there are: {', '.join(METHODS)}")
        return {name.lower(): method for name, method in methods.items()}


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A configuration for each method that is named; the others stay as they are."""
    for source, document in inputs.documents(Methods):
        for name, method in document.methods.items():
            properties = {key: value for key, value in method.model_dump().items() if value is not None}
            origin = Origin(source.name, f"methods.{name}")
            yield Desired(kind="authenticationMethod", key=name, origin=origin, properties=properties)


RECIPE = Recipe(
    name="identity.auth-methods",
    summary="Authentication methods: enabled or not, and for whom; nobody loses the only one they can use",
    permissions=("Policy.ReadWrite.AuthenticationMethod", "AuditLog.Read.All", "Group.Read.All"),
    desired=desired,
    template="auth_methods.yaml",
    models=(Methods, Method),
    essential=True,
)
