"""msgraph-sdk and azure-identity over TLS against the served tenant, unmodified: only the addresses are its own."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
import pytest

if os.environ.get("GRAPHKIT_FOREIGN_CLIENTS") != "required":  # as it is in .ci/run
    pytest.importorskip("msgraph", reason="the extra sdk is not installed: pip install 'graphkit-m365[sdk]'")
# What the generated code warns about is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore")

EMS = "efccb6f7-5641-4e0e-bd10-b4976e1bf68e"


@asynccontextmanager
async def signed_in(secure):
    """A ``GraphServiceClient`` as the tutorials make it, with its own retries, redirects and login."""
    from azure.identity.aio import ClientSecretCredential
    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph_core import GraphClientFactory

    address = secure.address
    async with (
        ClientSecretCredential(
            secure.tenant.tenant_id,
            secure.client_id,
            secure.secret,
            authority=address,
            disable_instance_discovery=True,
            connection_verify=str(secure.files.ca),
        ) as credential,
        httpx.AsyncClient(verify=str(secure.files.ca), base_url=address) as http,
    ):
        hosts = [address.partition("://")[2], "127.0.0.1"]
        provider = AzureIdentityAuthenticationProvider(credential, scopes=[f"{address}/.default"], allowed_hosts=hosts)
        network = http._transport  # its middleware takes the place of this one, and never closes it
        client = GraphClientFactory.create_with_default_middleware(client=http, host=address)
        adapter = GraphRequestAdapter(provider, client)
        adapter.base_url = f"{address}/v1.0"
        try:
            yield GraphServiceClient(request_adapter=adapter)
        finally:
            await network.aclose()


def conversation(secure, talk):
    async def main():
        async with signed_in(secure) as graph:
            return await talk(graph)

    return asyncio.run(main())


async def until(ask, suits=bool):
    """Ask until the answer suits: there is no read after write."""
    from kiota_abstractions.api_error import APIError

    for _ in range(100):
        try:
            found = await ask()
        except APIError:
            found = None
        if found is not None and suits(found):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it never came true")


def person(secure, number):
    return secure.tenant.seed.id_of("user", f"rx1-{number:04}@contoso.example")


def test_users_are_paged_filtered_counted_and_changed(secure):
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.models.user import User
    from msgraph.generated.users.users_request_builder import UsersRequestBuilder
    from msgraph_core.tasks.page_iterator import PageIterator

    query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters

    async def talk(graph):
        asked = RequestConfiguration(query_parameters=query(select=["id", "userPrincipalName"], top=50))
        seen = []
        await PageIterator(await graph.users.get(asked), graph.request_adapter).iterate(
            lambda user: seen.append(user.user_principal_name) or True
        )
        counted = RequestConfiguration(query_parameters=query(count=True, top=1, filter="accountEnabled eq true"))
        counted.headers.add("ConsistencyLevel", "eventual")
        count = (await graph.users.get(counted)).odata_count
        key = person(secure, 1)
        await graph.users.by_user_id(key).patch(User(job_title="Nurse"))
        changed = await until(lambda: graph.users.by_user_id(key).get(), lambda user: user.job_title)
        return len(seen), len(set(seen)), count, changed.job_title

    assert conversation(secure, talk) == (122, 122, 122, "Nurse")


def test_a_user_who_is_not_there_is_the_sdks_own_error(secure):
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    async def talk(graph):
        with pytest.raises(ODataError) as caught:
            await graph.users.by_user_id("nobody@contoso.example").get()
        error = caught.value
        return error.response_status_code, error.error.code, bool(error.error.inner_error.request_id)

    assert conversation(secure, talk) == (404, "Request_ResourceNotFound", True)


def test_a_group_gives_its_members_a_licence(secure):
    from uuid import UUID

    from msgraph.generated.groups.item.assign_license.assign_license_post_request_body import (
        AssignLicensePostRequestBody,
    )
    from msgraph.generated.models.assigned_license import AssignedLicense
    from msgraph.generated.models.group import Group
    from msgraph.generated.models.reference_create import ReferenceCreate

    async def talk(graph):
        wanted = Group(display_name="Pool", mail_enabled=False, mail_nickname="pool", security_enabled=True)
        key = (await graph.groups.post(wanted)).id
        member = ReferenceCreate(odata_id=f"{secure.address}/v1.0/directoryObjects/{person(secure, 30)}")
        group = graph.groups.by_group_id(key)
        licence = AssignLicensePostRequestBody(add_licenses=[AssignedLicense(sku_id=UUID(EMS))], remove_licenses=[])
        await until(lambda: group.assign_license.post(licence))
        await group.members.ref.post(member)
        skus = graph.users.by_user_id(person(secure, 30)).license_details
        found = await until(skus.get, lambda details: details.value)
        return [each.sku_part_number for each in found.value]

    assert conversation(secure, talk) == ["EMS"]


def test_a_team_is_accepted_and_then_there(secure):
    from msgraph.generated.models.aad_user_conversation_member import AadUserConversationMember
    from msgraph.generated.models.channel import Channel
    from msgraph.generated.models.team import Team

    async def talk(graph):
        owner = AadUserConversationMember(
            roles=["owner"],
            additional_data={"user@odata.bind": f"{secure.address}/v1.0/users('{person(secure, 1)}')"},
        )
        template = {"template@odata.bind": "https://graph.microsoft.com/v1.0/teamsTemplates('standard')"}
        await graph.teams.post(Team(display_name="Ward 7", members=[owner], additional_data=template))
        group = await until(graph.groups.get, lambda found: [g for g in found.value if g.display_name == "Ward 7"])
        key = next(each.id for each in group.value if each.display_name == "Ward 7")
        team = graph.teams.by_team_id(key)
        await until(team.get)
        await until(lambda: team.channels.post(Channel(display_name="Handover")))
        listed = await until(team.channels.get, lambda found: len(found.value) == 2)
        return sorted(channel.display_name for channel in listed.value)

    assert conversation(secure, talk) == ["General", "Handover"]


def test_policies_are_made_of_typed_parts(secure):
    from msgraph.generated.models import conditional_access_policy as whole
    from msgraph.generated.models.conditional_access_applications import ConditionalAccessApplications
    from msgraph.generated.models.conditional_access_condition_set import ConditionalAccessConditionSet
    from msgraph.generated.models.conditional_access_grant_control import ConditionalAccessGrantControl
    from msgraph.generated.models.conditional_access_grant_controls import ConditionalAccessGrantControls
    from msgraph.generated.models.conditional_access_policy_state import ConditionalAccessPolicyState
    from msgraph.generated.models.conditional_access_users import ConditionalAccessUsers

    async def talk(graph):
        policy = whole.ConditionalAccessPolicy(
            display_name="MFA for everyone",
            state=ConditionalAccessPolicyState.EnabledForReportingButNotEnforced,
            conditions=ConditionalAccessConditionSet(
                users=ConditionalAccessUsers(include_users=["All"]),
                applications=ConditionalAccessApplications(include_applications=["All"]),
            ),
            grant_controls=ConditionalAccessGrantControls(
                operator="OR", built_in_controls=[ConditionalAccessGrantControl.Mfa]
            ),
        )
        made = await graph.identity.conditional_access.policies.post(policy)
        one = graph.identity.conditional_access.policies.by_conditional_access_policy_id(made.id)
        found = await until(one.get)
        return found.display_name, found.grant_controls.built_in_controls == [ConditionalAccessGrantControl.Mfa]

    assert conversation(secure, talk) == ("MFA for everyone", True)


def test_compliance_policies_keep_their_type(secure):
    from msgraph.generated.models.device_compliance_action_item import DeviceComplianceActionItem
    from msgraph.generated.models.device_compliance_action_type import DeviceComplianceActionType
    from msgraph.generated.models.device_compliance_scheduled_action_for_rule import (
        DeviceComplianceScheduledActionForRule,
    )
    from msgraph.generated.models.windows10_compliance_policy import Windows10CompliancePolicy

    async def talk(graph):
        block = DeviceComplianceActionItem(action_type=DeviceComplianceActionType.Block, grace_period_hours=0)
        rule = DeviceComplianceScheduledActionForRule(scheduled_action_configurations=[block])
        policy = Windows10CompliancePolicy(
            display_name="Floor", os_minimum_version="10.0.22631.4000", scheduled_actions_for_rule=[rule]
        )
        made = await graph.device_management.device_compliance_policies.post(policy)
        return type(made).__name__, made.os_minimum_version

    assert conversation(secure, talk) == ("Windows10CompliancePolicy", "10.0.22631.4000")


def test_a_batch_answers_each_part(secure):
    from msgraph_core.requests.batch_request_content import BatchRequestContent
    from msgraph_core.requests.batch_request_item import BatchRequestItem

    async def talk(graph):
        parts = BatchRequestContent()
        names = {"there": person(secure, 1), "absent": "nobody@contoso.example"}
        for name, key in names.items():
            asked = graph.users.by_user_id(key).to_get_request_information()
            asked.url_template = asked.url_template.replace("{+baseurl}", "")
            parts.add_request(name, BatchRequestItem(asked, name))
        answered = await graph.batch.post(parts)
        return {name: answered.get_response_by_id(name).status for name in names}

    assert conversation(secure, talk) == {"there": 200, "absent": 404}


def test_delta_tells_what_changed_since(secure):
    from msgraph.generated.models.user import User

    async def talk(graph):
        page = await graph.users.delta.get()
        names = [user.id for user in page.value]
        while page.odata_next_link:
            page = await graph.users.delta.with_url(page.odata_next_link).get()
            names += [user.id for user in page.value]
        await graph.users.by_user_id(person(secure, 5)).patch(User(department="Theatre"))
        later = graph.users.delta.with_url(page.odata_delta_link)
        changed = await until(later.get, lambda found: any(user.department == "Theatre" for user in found.value))
        return len(set(names)), {user.id for user in changed.value} == {person(secure, 5)}

    assert conversation(secure, talk) == (122, True)


def test_its_own_retries_meet_our_throttling(secure):
    secure.tenant.faults.add({"method": "GET", "path": "/organization", "times": 1, "action": "throttle",
                              "retry_after": "1"})  # fmt: skip

    async def talk(graph):
        return len((await graph.organization.get()).value)

    assert conversation(secure, talk) == 1
    assert secure.tenant.faults.rules[0].fired == 1
