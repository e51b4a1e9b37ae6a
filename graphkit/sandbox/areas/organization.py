"""The organization and its domains: api-reference/v1.0/api/organization-*.md, domain-*.md."""

from __future__ import annotations

from graphkit.sandbox.call import Call, Json, Reply, bad_request, not_found
from graphkit.sandbox.permissions import DIRECTORY, INTUNE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check, check_writable

routes = Routes()

ORGANISATION_KIND = Kind("organization", "organization")
DOMAIN_KIND = Kind("domains", "domain")
READ = ("Organization.Read.All", "User.Read.All", *INTUNE, *DIRECTORY)
DOMAINS = ("Domain.Read.All", *DIRECTORY)
# organization-update.md
CHANGEABLE = frozenset({"marketingNotificationEmails", "privacyProfile", "securityComplianceNotificationMails",
                        "securityComplianceNotificationPhones", "technicalNotificationMails"})  # fmt: skip


@routes.get("/organization", READ, page="organization-list")
def list_organizations(call: Call) -> Reply:
    return listing(call, ORGANISATION_KIND, call.tenant.state.table("organization").in_order())


def _find(call: Call) -> Json:
    found = call.tenant.state.get("organization", call.params["organization"])
    if found is None:
        raise not_found(call.params["organization"])
    return found


@routes.get("/organization/{organization}", READ, page="organization-get")
def get_organization(call: Call) -> Reply:
    return entity(call, ORGANISATION_KIND, _find(call))


@routes.patch("/organization/{organization}", ("Organization.ReadWrite.All",), page="organization-update")
def update_organization(call: Call) -> Reply:
    organisation, body = _find(call), call.json
    check_writable(body, check(body, "organization", call.version))
    wrong = body.keys() - CHANGEABLE
    if wrong:
        raise bad_request(f"Property '{min(wrong)}' is read-only and cannot be set.")
    call.tenant.state.put("organization", {**organisation, **body})
    return Reply(204)


@routes.get("/domains", DOMAINS, page="domain-list")
def list_domains(call: Call) -> Reply:
    return listing(call, DOMAIN_KIND, list(_domains(call).values()))


@routes.get("/domains/{domain}", DOMAINS, page="domain-get")
def get_domain(call: Call) -> Reply:
    found = _domains(call).get(call.params["domain"].lower())
    if found is None:
        raise not_found(call.params["domain"])
    return entity(call, DOMAIN_KIND, found)


def _domains(call: Call) -> dict[str, Json]:
    """Passwords of a managed domain: 90 days and 14 days' notice, unless told otherwise (resources/domain.md)."""
    organisation = call.tenant.state.table("organization").objects[call.tenant.tenant_id]
    return {
        domain["name"].lower(): {
            "id": domain["name"],
            "authenticationType": "Managed",
            "availabilityStatus": None,
            "isAdminManaged": True,
            "isDefault": domain["isDefault"],
            "isInitial": domain["isInitial"],
            "isRoot": True,
            "isVerified": True,
            "manufacturer": None,
            "model": None,
            "passwordNotificationWindowInDays": 14,
            "passwordValidityPeriodInDays": 90,
            "state": None,
            "supportedServices": ["Email", "OfficeCommunicationsOnline"],
        }
        for domain in organisation["verifiedDomains"]
    }
