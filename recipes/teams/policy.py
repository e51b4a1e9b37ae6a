"""teams.policy: how groups and teams of the whole tenant are called, who may make them, and when they expire."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import DocumentModel, Flag, TextList, UpnList
from graphkit.recipe import Inputs, Recipe

NAMING_MAX = 64
"""Characters (https://learn.microsoft.com/entra/identity/users/groups-naming-policy)."""


class Policy(DocumentModel):
    """The whole file. What is not mentioned stays as it is."""

    naming: str | None = Field(default=None, description="prefix and suffix around [GroupName]; empty for none")
    blocked_words: TextList | None = Field(default=None, description="words that no name may hold; [] for none")
    creators_group: str | None = Field(
        default=None, description="group whose members may create groups, by name or id; empty for everybody"
    )
    guests: Flag | None = Field(default=None, description="whether guests may be added to groups and teams")
    expiry_days: int | None = Field(default=None, ge=30, description="days after which an unused group expires")
    expiry_groups: Literal["All", "Selected", "None"] | None = Field(
        default=None, description="which groups expire; All for a new policy"
    )
    expiry_mail: UpnList = Field(default=(), description="whom to tell of groups without an owner")

    @field_validator("naming")
    @classmethod
    def _check_naming(cls, text: str | None) -> str | None:
        if text and (len(text) > NAMING_MAX or text.lower().count("[groupname]") != 1):
            raise ValueError(f"holds [GroupName] once and at most {NAMING_MAX} characters")
        return text

    @field_validator("blocked_words")
    @classmethod
    def _check_words(cls, words: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for word in words or ():
            if re.search(r"[,\s]", word):
                raise ValueError(f"{word!r} is not one word")
        return words

    @model_validator(mode="after")
    def _check(self) -> Policy:
        if not self.model_fields_set:
            raise ValueError("says nothing: name at least one setting")
        if (self.expiry_groups or self.expiry_mail) and self.expiry_days is None:
            raise ValueError("expiry_days: is needed with expiry_groups and expiry_mail")
        return self

    @property
    def values(self) -> dict[str, str]:
        """The settings by Graph's names (https://learn.microsoft.com/graph/group-directory-settings)."""
        found: dict[str, str] = {}
        if self.naming is not None:
            found["PrefixSuffixNamingRequirement"] = self.naming
        if self.blocked_words is not None:
            found["CustomBlockedWordsList"] = ",".join(self.blocked_words)
        if self.creators_group is not None:
            found["EnableGroupCreation"] = _text(not self.creators_group)
            found["GroupCreationAllowedGroupId"] = self.creators_group
        if self.guests is not None:
            found["AllowToAddGuests"] = _text(self.guests)
        return found


def _text(flag: bool) -> str:
    return "true" if flag else "false"


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """The settings of all groups, and their expiry."""
    for source, policy in inputs.documents(Policy):
        origin = Origin(source.name, "")
        if policy.values:
            rails = {"creators": policy.creators_group}
            yield Desired(
                kind="groupSetting", key="Group.Unified", origin=origin, properties=policy.values, rails=rails
            )
        if policy.expiry_days is not None:
            expiry: dict[str, object] = {"groupLifetimeInDays": policy.expiry_days}
            if policy.expiry_groups:
                expiry["managedGroupTypes"] = policy.expiry_groups
            if policy.expiry_mail:
                expiry["alternateNotificationEmails"] = ";".join(policy.expiry_mail)
            yield Desired(kind="groupLifecyclePolicy", key="tenant", origin=origin, properties=expiry)


RECIPE = Recipe(
    name="teams.policy",
    summary="Names, creators, guests and expiry of all groups and teams",
    permissions=("GroupSettings.ReadWrite.All", "Directory.ReadWrite.All"),
    desired=desired,
    template="policy.yaml",
    models=(Policy,),
    rails=("it binds the whole tenant: --confirm with the tenant's domain",),
    trial=PlanOptions(confirm="contoso.example"),
)
