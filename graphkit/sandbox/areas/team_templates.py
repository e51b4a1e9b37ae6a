"""Templates that teams are made from: the base types, and those that Microsoft has built.

MicrosoftDocs/OfficeDocs-SkypeForBusiness Teams/get-started-with-teams-templates.md and
get-started-with-teams-templates-in-the-admin-console.md (their channels; apps are not modelled).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.query.listing import Kind, listing
from graphkit.sandbox.router import Routes

routes = Routes(beta_only=True)

_PREFIX = "com.microsoft.teams.template."

_BUILT: Mapping[str, tuple[str, str]] = {
    "AdoptOffice365": ("Adopt Office 365", "Announcements,Champions corner,Team forms,Calendar"),
    "ManageAProject": ("Manage a Project", "Announcements,Resources,Planning"),
    "ManageAnEvent": ("Manage an Event", "Announcements,Budget,Content,Logistics,Planning,Marketing and PR"),
    "OnboardEmployees": ("Onboard Employees", "Announcements,Employee chat,Training"),
    "OrganizeHelpDesk": ("Organize Help Desk", "Announcements,FAQ"),
    "healthcareWard": ("Patient care", "Announcements,Huddles,Rounds,Staffing,Training"),
    "healthcareHospital": ("Hospital", "Announcements,Compliance,Custodial,Human resources,Pharmacy"),
    "retailStore": ("Organize a store", "Shift handoff,Store readiness,Learning"),
    "retailManagerCollaboration": ("Retail for managers", "Operations,Learning"),
    "CoordinateIncidentResponse": ("Incident response", "Announcements,Logistics,Planning,Recovery,Urgent"),
}

CHANNELS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("standard", "educationClass", "educationStaff", "educationProfessionalLearningCommunity"), ()),
    # The short names of these four are those of the base types (behaviour of the older templates).
    **{
        name: tuple(_BUILT[name][1].split(","))
        for name in ("healthcareWard", "healthcareHospital", "retailStore", "retailManagerCollaboration")
    },
    **{_PREFIX + name: tuple(channels.split(",")) for name, (_, channels) in _BUILT.items()},
}
"""The channels of each template, General apart."""

SPECIALIZATIONS: Mapping[str, str] = {
    "educationClass": "educationClass",
    "educationStaff": "educationStaff",
    "educationProfessionalLearningCommunity": "educationProfessionalLearningCommunity",
}


def _definitions(_: Call, template: Json) -> list[Json]:
    name = template["id"].removeprefix(_PREFIX)
    key = base64.b64encode(f"{template['id']}##Public##en-US".encode()).decode()
    return [
        {
            "id": key,
            "parentTemplateId": template["id"],
            "displayName": _BUILT[name][0],
            "languageTag": "en-US",
            "audience": "public",
            "publisherName": "Microsoft",
            "lastModifiedDateTime": "0001-01-01T00:00:00Z",
            "lastModifiedBy": None,
        }
    ]


TEMPLATE_KIND = Kind("teamwork/teamTemplates", "teamTemplate", expands={"definitions": _definitions})


@routes.get("/teamwork/teamTemplates", ("TeamTemplates.Read.All",), page="teamwork-list-teamtemplates")
def list_templates(call: Call) -> Reply:
    """ "Currently, this API only returns the id property"; the rest comes with ``$expand=definitions``."""
    return listing(call, TEMPLATE_KIND, [{"id": _PREFIX + name} for name in _BUILT])
