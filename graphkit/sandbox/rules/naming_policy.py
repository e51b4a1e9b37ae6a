"""The naming policy of Microsoft 365 groups: prefix, suffix and blocked words of Group.Unified.

MicrosoftDocs/entra-docs docs/identity/users/groups-naming-policy.md; api-reference/v1.0/api/
directoryobject-validateproperties.md. The policy binds an app as it binds people, and refuses: nothing is added to a
name (microsoftgraph/microsoft-graph-docs#7842, microsoftgraph/msgraph-sdk-dotnet#1153).
"""

from __future__ import annotations

import re

from graphkit.sandbox.call import Call, Json, Refusal
from graphkit.sandbox.rules.group_settings import in_force, words_of

EXEMPT = ("62e90394-69f5-4237-9190-012177145e10", "fe930be7-5e62-47db-91af-98c3a49a38b1")
"""Global Administrator and User Administrator. Assumption: an app that holds such a role is exempt, like a person."""
_PART = re.compile(r"\[([^\]]*)\]|([^\[\]]+)")
_ATTRIBUTES = frozenset({"department", "company", "office", "stateorprovince", "countryorregion", "title"})
_NOT_IN_ALIAS = re.compile(r"""[\s@()\\\[\]";:<>,]""")


def affixes(requirement: str) -> tuple[str, str]:
    """The prefix and suffix that ``GRP_[GroupName]_[Department]`` asks of an app.

    An app has no attributes, so that ``[Department]`` is empty for it: it is told to write what is left
    (microsoftgraph/microsoft-graph-docs#7842). Assumption: brackets around anything else are not part of the name
    (``[Contoso-][GroupName]`` in group-post-settings.md).
    """
    found = ["", ""]
    after = 0
    for bracketed, plain in _PART.findall(requirement):
        if bracketed.lower() == "groupname":
            after = 1
        elif bracketed.lower() not in _ATTRIBUTES:
            found[after] += bracketed or plain
    return found[0], found[1]


def breaches(call: Call, names: dict[str, str]) -> list[Json]:
    """What of ``displayName`` and ``mailNickname`` the policy refuses, as ``error.details``; empty for nothing.

    Prefix and suffix first, for both names; then, one at a time, blocked words: whole words, whatever their case.
    """
    if any(call.tenant.state.linked("roleMembers", role).keys() & {_principal(call)} for role in EXEMPT):
        return []
    values = in_force(call.tenant.state)
    prefix, suffix = affixes(values["PrefixSuffixNamingRequirement"])
    found = [_missing(target, value, prefix, suffix) for target, value in names.items()]
    missing = [detail for detail in found if detail]
    words = words_of(values["CustomBlockedWordsList"])
    blocked = (
        _blocked(target, value.removeprefix(prefix).removesuffix(suffix), words) for target, value in names.items()
    )
    return missing or [detail for detail in blocked if detail][:1]


def _principal(call: Call) -> str:
    return call.tenant.seed.id_of("servicePrincipal", call.app)


def _missing(target: str, value: str, prefix: str, suffix: str) -> Json:
    if target == "mailNickname":
        prefix, suffix = _NOT_IN_ALIAS.sub("", prefix), _NOT_IN_ALIAS.sub("", suffix)
    fits = value.startswith(prefix) and value.endswith(suffix) and len(value) > len(prefix) + len(suffix) - 1
    if fits:
        return {}
    return {
        "target": target,
        "code": "MissingPrefixSuffix",
        "message": f"Property {target} is missing a required prefix/suffix per your organization's Group naming "
        "requirements.",
        "prefix": prefix,
        "suffix": suffix,
        "suggestedPropertyValue": f"{prefix}{value}{suffix}",
    }


def _blocked(target: str, value: str, words: list[str]) -> Json:
    for word in words:
        if re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", value, re.IGNORECASE):
            return {
                "target": target,
                "code": "ContainsBlockedWord",  # assumption: code and words
                "message": f"Property {target} contains the word '{word}', which your organization has blocked.",
            }
    return {}


def check_names(call: Call, names: dict[str, str]) -> None:
    """Refuses names that break the policy; only the first breach is told (microsoftgraph/msgraph-sdk-dotnet#1153)."""
    found = breaches(call, names)[:1]
    if not found:
        return
    missing = found[0]["code"] == "MissingPrefixSuffix"
    told = ("target", "code", "suggestedPropertyValue") if missing else ("target", "code", "message")
    message = (
        "The property is missing a required prefix/suffix per your organization's Group naming requirements."
        if missing
        else found[0]["message"]
    )
    raise Refusal(400, "Request_BadRequest", message, details=[{name: found[0][name] for name in told}])
