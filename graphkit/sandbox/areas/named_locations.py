"""Named locations: api-reference/v1.0/api/conditionalaccessroot-*-namedlocations.md, resources/*namedlocation.md.

Limits: entra-docs, docs/identity/conditional-access/concept-assignment-network.md, 2024-05.
"""

from __future__ import annotations

import ipaddress

from graphkit.sandbox.areas.policy_base import create_body, find, plain, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import ACCESS, ACCESS_WRITE, POLICIES
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check, check_changeable

routes = Routes()

LOCATION_KIND = Kind("identity/conditionalAccess/namedLocations", "namedLocation")
MAX_LOCATIONS = 195
MAX_RANGES = 2000
SHORTEST_MASK = 8
"""Only longer ones are allowed."""

_DEFAULTS: dict[str, Json] = {
    "ipNamedLocation": {"isTrusted": False},
    "countryNamedLocation": {"includeUnknownCountriesAndRegions": False, "countryLookupMethod": "clientIpAddress"},
    "compliantNetworkNamedLocation": {"isTrusted": False},  # beta
}
_NEEDED = {"ipNamedLocation": "ipRanges", "countryNamedLocation": "countriesAndRegions"}


@routes.get("/identity/conditionalAccess/namedLocations", ACCESS, page="conditionalaccessroot-list-namedlocations")
def list_locations(call: Call) -> Reply:
    return listing(call, LOCATION_KIND, call.tenant.state.table("locations").in_order())


@routes.get("/identity/conditionalAccess/namedLocations/{location}", ACCESS, page="namedlocation-get")
def get_location(call: Call) -> Reply:
    return entity(call, LOCATION_KIND, _location(call))


def _location(call: Call) -> Json:
    return find(call, "locations", "NamedLocation", call.params["location"])


@routes.post(
    "/identity/conditionalAccess/namedLocations",
    POLICIES,
    ACCESS_WRITE,
    page="conditionalaccessroot-post-namedlocations",
)
def create_location(call: Call) -> Reply:
    body, found = create_body(call, "namedLocation")
    if found.name == "namedLocation":
        raise refuse("The @odata.type of the named location must be ipNamedLocation or countryNamedLocation.")
    if len(call.tenant.state.table("locations").objects) >= MAX_LOCATIONS:
        raise refuse(f"The maximum number of named locations, {MAX_LOCATIONS}, has been reached.")
    location = {
        "@odata.type": f"#microsoft.graph.{found.name}",
        "id": call.tenant.new_id(),
        "displayName": None,
        "modifiedDateTime": instant(call.now),
        "createdDateTime": instant(call.now),
        "deletedDateTime": None,
        **_DEFAULTS.get(found.name, {}),
        **body,
        "_created": call.now,
    }
    _check_values(location, found.name)
    call.tenant.state.put("locations", location)
    call.tenant.replication.created(call.now)
    return entity(call, LOCATION_KIND, location, status=201)


def _check_values(location: Json, type_name: str) -> None:
    needed = _NEEDED.get(type_name)
    if not location["displayName"] or (needed and not location.get(needed)):
        raise refuse(f"A named location needs displayName{' and ' + needed if needed else ''}.")
    for code in location.get("countriesAndRegions") or []:
        # resources/countrynamedlocation.md: two-letter codes of ISO 3166-2. Which of them exist is not looked at.
        if not (len(code) == 2 and code.isalpha() and code.isascii() and code.isupper()):
            raise refuse(f"'{code}' is not a two-letter country code.")
    ranges = location.get("ipRanges") or []
    if len(ranges) > MAX_RANGES:
        raise refuse(f"A named location may have {MAX_RANGES} IP ranges at most.")
    for entry in ranges:
        _check_range(entry)


def _check_range(entry: Json) -> None:
    kind = str(entry.get("@odata.type", "")).rpartition(".")[2]
    text = entry.get("cidrAddress")
    if kind not in ("iPv4CidrRange", "iPv6CidrRange") or not isinstance(text, str) or "/" not in text:
        raise refuse("An IP range needs the @odata.type iPv4CidrRange or iPv6CidrRange and a cidrAddress such as "
                     "203.0.113.0/24.")  # fmt: skip
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise refuse(f"'{text}' is not an IP range in CIDR notation.") from None
    if network.version != int(kind[3]):
        raise refuse(f"'{text}' is not an address range of the type {kind}.")
    if network.prefixlen <= SHORTEST_MASK:
        raise refuse(f"'{text}' is too wide: only CIDR masks greater than /{SHORTEST_MASK} are allowed.")


@routes.patch(
    "/identity/conditionalAccess/namedLocations/{location}", POLICIES, ACCESS_WRITE, page="ipnamedlocation-update"
)
def update_location(call: Call) -> Reply:
    """ "You must specify the @odata.type"; the words of the refusal are ours."""
    location, body = _location(call), call.json
    own_type = location["@odata.type"].removeprefix("#microsoft.graph.")
    found = check(body, "namedLocation", call.version, code="BadRequest")
    check_changeable(body, found, code="BadRequest")
    if found.name != own_type:
        raise refuse(f"The @odata.type of this named location is microsoft.graph.{own_type} and must be given.")
    changes = {name: value for name, value in plain(body).items() if name != "@odata.type"}
    changed = {**location, **changes, "modifiedDateTime": instant(call.now)}
    _check_values(changed, found.name)
    call.tenant.state.put("locations", changed)
    return Reply(204)


@routes.delete(
    "/identity/conditionalAccess/namedLocations/{location}", POLICIES, ACCESS_WRITE, page="namedlocation-delete"
)
def delete_location(call: Call) -> Reply:
    """Trusted ones must be untrusted first (concept-assignment-network.md); refused while a policy uses it."""
    location = _location(call)
    if location.get("isTrusted"):
        raise refuse("A trusted named location cannot be deleted. Set isTrusted to false first.")
    for policy in call.tenant.state.table("policies").objects.values():
        used = policy["conditions"]["locations"] or {}
        if location["id"] in [*(used.get("includeLocations") or []), *(used.get("excludeLocations") or [])]:
            # Assumption: neither the page nor a public report tells these words.
            raise refuse(f"NamedLocation is used by the policy '{policy['id']}' and cannot be deleted.")
    call.tenant.state.delete("locations", location["id"])
    call.tenant.state.put("deletedLocations", {**location, "deletedDateTime": instant(call.now)})
    return Reply(204)
