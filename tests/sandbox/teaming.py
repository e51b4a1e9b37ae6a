"""What the tests of Teams share."""

from __future__ import annotations

STANDARD = "https://graph.microsoft.com/v1.0/teamsTemplates('standard')"


def member(user, *roles):
    return {
        "@odata.type": "#microsoft.graph.aadUserConversationMember",
        "roles": list(roles),
        "user@odata.bind": f"https://graph.microsoft.com/v1.0/users('{user}')",
    }


def owned_group(graph, name="Ward"):
    return graph.unified(name, **{"owners@odata.bind": [graph.link(graph.user(1))]})


def made_team(graph, name="Ward"):
    group = owned_group(graph, name)
    graph.clock.at += 60
    made = graph("PUT", f"/groups/{group}/team", {})
    assert made.status == 201, made.json
    graph.clock.at += 5
    return group


def people(graph, path):
    return {each["userId"]: each for each in graph("GET", f"{path}/members").json["value"]}


def roles(graph, team):
    """``{user: roles}``"""
    return {user: each["roles"] for user, each in people(graph, f"/teams/{team}").items()}


def channel_names(graph, team):
    return [each["displayName"] for each in graph("GET", f"/teams/{team}/channels").json["value"]]


def done(graph, accepted):
    """The operation of a 202, when its time has come."""
    assert accepted.status == 202, accepted.json
    graph.clock.at += 20
    return graph("GET", accepted.headers.get("Location") or accepted.headers["Content-Location"]).json
