"""Cross-tenant access: the default, partners, and whose users are synchronized."""

from __future__ import annotations

import pytest

POLICY = "/policies/crossTenantAccessPolicy"
DEFAULT = f"{POLICY}/default"
PARTNERS = f"{POLICY}/partners"
OTHER = "3d0f5dec-5d3d-455c-8016-e2af1ae4d31a"


def rule(access="allowed", target="AllUsers", kind="user"):
    return {"accessType": access, "targets": [{"target": target, "targetType": kind}]}


def test_a_tenant_is_born_with_the_system_default(graph):
    """crosstenantaccesspolicyconfigurationdefault-get.md"""
    found = graph("GET", DEFAULT).json
    assert found["isServiceDefault"] is True
    assert found["inboundTrust"]["isMfaAccepted"] is False
    assert found["b2bCollaborationInbound"]["usersAndGroups"] == rule()
    assert found["b2bDirectConnectOutbound"]["applications"] == rule("blocked", "AllApplications", "application")


def test_the_default_is_changed_in_part_and_reset(graph):
    assert graph("PATCH", DEFAULT, {"inboundTrust": {"isMfaAccepted": True}}).status == 204
    found = graph("GET", DEFAULT).json
    assert found["isServiceDefault"] is False
    assert found["inboundTrust"]["isMfaAccepted"] is True
    assert found["inboundTrust"]["isCompliantDeviceAccepted"] is False
    assert graph("POST", f"{DEFAULT}/resetToSystemDefault").status == 204
    assert graph("GET", DEFAULT).json["isServiceDefault"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"isServiceDefault": True},
        {"automaticUserConsentSettings": {"inboundAllowed": True}},
        {"inboundTrust": None},
        {"b2bCollaborationInbound": None},
        {"b2bCollaborationInbound": {"usersAndGroups": {"accessType": "allowed", "targets": []}}},
        {"b2bCollaborationInbound": {"usersAndGroups": rule(target="Everybody")}},
        {"b2bCollaborationInbound": {"usersAndGroups": rule(target="AllApplications", kind="application")}},
        {"b2bCollaborationInbound": {"applications": rule()}},
        {"b2bCollaborationInbound": {"usersAndGroups": rule(access="perhaps")}},
    ],
)
def test_a_default_that_breaks_a_rule_is_refused(graph, body):
    assert graph("PATCH", DEFAULT, body).status == 400


def test_a_partner_is_made_changed_and_deleted(graph):
    """crosstenantaccesspolicy-post-partners.md: what is left out is null and inherits"""
    body = {"tenantId": OTHER, "b2bDirectConnectInbound": {"applications": rule("allowed", "Office365", "application")}}
    made = graph("POST", PARTNERS, body)
    assert made.status == 201
    assert made.json["inboundTrust"] is None
    assert made.json["automaticUserConsentSettings"] == {"inboundAllowed": None, "outboundAllowed": None}
    assert "id" not in made.json
    path = f"{PARTNERS}/{OTHER}"
    assert graph("PATCH", path, {"inboundTrust": {"isMfaAccepted": True}}).status == 204
    assert graph("PATCH", path, {"inboundTrust": {"isCompliantDeviceAccepted": True}}).status == 204
    trust = graph("GET", path).json["inboundTrust"]
    assert trust == {"isMfaAccepted": True, "isCompliantDeviceAccepted": True}
    assert graph("PATCH", path, {"inboundTrust": None}).status == 204
    assert graph("GET", path).json["inboundTrust"] is None
    assert [each["tenantId"] for each in graph("GET", PARTNERS).json["value"]] == [OTHER]
    assert graph("DELETE", path).status == 204
    assert graph("GET", path).status == 404


def test_there_is_one_configuration_for_a_partner(graph):
    graph("POST", PARTNERS, {"tenantId": OTHER})
    assert graph("POST", PARTNERS, {"tenantId": OTHER.upper()}).status == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenantId": "contoso.example"},
        {"tenantId": OTHER, "isInMultiTenantOrganization": True},
        {"tenantId": "own"},
    ],
)
def test_a_partner_that_breaks_a_rule_is_refused(graph, body):
    body = {**body, "tenantId": graph.tenant.tenant_id} if body.get("tenantId") == "own" else body
    assert graph("POST", PARTNERS, body).status == 400


def test_a_partner_keeps_its_tenant(graph):
    graph("POST", PARTNERS, {"tenantId": OTHER})
    assert graph("PATCH", f"{PARTNERS}/{OTHER}", {"tenantId": graph.tenant.tenant_id}).status == 400


def test_a_partners_configuration_has_25_kilobytes_at_most(graph):
    many = [{"target": f"{number:08}-0000-4000-8000-000000000000", "targetType": "user"} for number in range(400)]
    wide = {"usersAndGroups": {"accessType": "allowed", "targets": many}}
    assert "25 KB" in graph("POST", PARTNERS, {"tenantId": OTHER, "b2bCollaborationInbound": wide}).message


def test_the_clouds_to_work_with_are_named(graph):
    assert graph("GET", POLICY).json["allowedCloudEndpoints"] == []
    assert graph("PATCH", POLICY, {"allowedCloudEndpoints": ["microsoftonline.us"]}).status == 204
    assert graph("GET", POLICY).json["allowedCloudEndpoints"] == ["microsoftonline.us"]
    assert graph("PATCH", POLICY, {"allowedCloudEndpoints": ["example.com"]}).status == 400


def test_users_are_synchronized_from_a_partner_that_is_there(graph):
    path = f"{PARTNERS}/{OTHER}/identitySynchronization"
    body = {"displayName": "Trust", "userSyncInbound": {"isSyncAllowed": True}}
    assert graph("PUT", path, body).status == 404
    graph("POST", PARTNERS, {"tenantId": OTHER})
    assert graph("PUT", path, body).status == 204
    assert graph("PUT", path, body).status == 409
    assert graph("PATCH", path, {"userSyncInbound": {"isSyncAllowed": False}}).status == 204
    found = graph("GET", path).json
    assert (found["tenantId"], found["displayName"]) == (OTHER, "Trust")
    assert found["userSyncInbound"] == {"isSyncAllowed": False}
    assert graph("DELETE", f"{PARTNERS}/{OTHER}").status == 400
    assert graph("DELETE", path).status == 204
    assert graph("DELETE", f"{PARTNERS}/{OTHER}").status == 204
