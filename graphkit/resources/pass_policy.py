"""What the tenant's policy says of temporary access passes, before any is asked for.

https://learn.microsoft.com/graph/api/resources/temporaryaccesspassauthenticationmethodconfiguration
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphkit.engine.resource import Context
from graphkit.resources.reading import read_each
from graphkit.resources.registration import EVERYONE

PATH = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass"
UNREAD = "whether the tenant allows such temporary access passes could not be read"
FOR_SOME = "the tenant's policy lets only some groups use temporary access passes: for others they are refused"


async def objections_to(wished: Sequence[tuple[int, bool]], context: Context) -> list[str]:
    """Why passes of these (lifetime in minutes, usable once) would be refused. What cannot be told is a remark."""
    (policy,) = await read_each(context.client, [PATH])
    if policy.value is None:
        context.remarks.append(f"{UNREAD}: {policy.why or 'there is no such policy'}")
        return []
    included = [str(target.get("id")) for target in policy.value.get("includeTargets") or ()]
    if EVERYONE not in included or policy.value.get("excludeTargets"):
        context.remarks.append(FOR_SOME)
    return list(_objections(policy.value, wished))


def _objections(policy: Mapping[str, Any], wished: Sequence[tuple[int, bool]]) -> Iterator[str]:
    if policy.get("state") != "enabled":
        yield "temporary access passes are not enabled in this tenant: identity.auth-methods can enable them"
        return
    least, most = (policy.get(f"{end}LifetimeInMinutes") for end in ("minimum", "maximum"))
    for minutes, once in wished:
        if least is not None and most is not None and not least <= minutes <= most:
            yield f"lifetime_minutes: {minutes}, and the tenant's policy allows {least} to {most}"
        if policy.get("isUsableOnce") and not once:
            yield "one_time: false, and the tenant's policy allows only passes that can be used once"
