"""A plain script on msgraph-sdk, as anybody might write it: it knows nothing of graphkit, of recordings or of tests."""

from __future__ import annotations

from msgraph.generated.models.group import Group
from msgraph.generated.models.user import User
from msgraph.generated.users.users_request_builder import UsersRequestBuilder


async def main(graph, project):
    """Gather a project's people in a group, give them its name as department, and count the accounts on the way."""
    people = [await graph.users.by_user_id(name).get() for name in project["members"]]
    query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(top=20, select=["id", "userPrincipalName"])
    page = await graph.users.get(UsersRequestBuilder.UsersRequestBuilderGetRequestConfiguration(query_parameters=query))
    accounts = len(page.value)
    while page.odata_next_link:
        page = await graph.users.with_url(page.odata_next_link).get()
        accounts += len(page.value)
    for person in people:
        await graph.users.by_user_id(person.id).patch(User(department=project["name"]))
    links = [f"https://graph.microsoft.com/v1.0/directoryObjects/{person.id}" for person in people]
    group = await graph.groups.post(
        Group(
            display_name=project["name"],
            mail_nickname=project["nickname"],
            mail_enabled=False,
            security_enabled=True,
            additional_data={"members@odata.bind": links},
        )
    )
    return {"accounts": accounts, "group": group.id, "name": group.display_name, "people": len(people)}
