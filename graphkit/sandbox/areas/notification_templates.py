"""Messages to people whose device does not comply: api-reference/v1.0/api/intune-notification-*.md. None is sent."""

from __future__ import annotations

from graphkit.sandbox.areas.intune_policies import Collection, Policies
from graphkit.sandbox.areas.intune_words import absent, read
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import ENROLMENT, ENROLMENT_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.schema.check import check_required

ROOT = "/deviceManagement/notificationMessageTemplates"
MESSAGES = ROOT + "/{policy}/localizedNotificationMessages"
_PAGE = "intune-notification-localizednotificationmessage"
MESSAGE_KIND = Kind(f"{ROOT[1:]}/localizedNotificationMessages", "localizedNotificationMessage")

TEMPLATES = Policies(
    Collection(
        ROOT,
        "notificationMessageTemplate",
        "intune-notification-notificationmessagetemplate",
        read=ENROLMENT,
        write=ENROLMENT_WRITE,
        rule=lambda _, template, __: {"localizedNotificationMessages": [], **template},
        expands={"localizedNotificationMessages": lambda _, template: template["localizedNotificationMessages"]},
    )
)
routes = TEMPLATES.routes()


@routes.get(MESSAGES, ENROLMENT, page=f"{_PAGE}-list")
def list_messages(call: Call) -> Reply:
    return listing(call, MESSAGE_KIND, list(TEMPLATES.find(call)["localizedNotificationMessages"]))


@routes.post(MESSAGES, ENROLMENT_WRITE, page=f"{_PAGE}-create")
def create_message(call: Call) -> Reply:
    template = TEMPLATES.find(call)
    body, found = read(call, call.json, "localizedNotificationMessage")
    check_required(body, found, code="BadRequest")
    # The id is made of both: one message for each language. As published exports have it.
    key = f"{template['id']}_{body['locale']}"
    message = {"isDefault": False, **body, "id": key}
    _store(call, template, message)
    return entity(call, MESSAGE_KIND, message, status=201)


@routes.patch(MESSAGES + "/{message}", ENROLMENT_WRITE, page=f"{_PAGE}-update")
def update_message(call: Call) -> Reply:
    template, message = _found(call)
    body, _ = read(call, call.json, "localizedNotificationMessage")
    message = {**message, **{name: value for name, value in body.items() if name != "locale"}}
    _store(call, template, message)
    return entity(call, MESSAGE_KIND, message)


@routes.delete(MESSAGES + "/{message}", ENROLMENT_WRITE, page=f"{_PAGE}-delete")
def delete_message(call: Call) -> Reply:
    template, message = _found(call)
    kept = [item for item in template["localizedNotificationMessages"] if item["id"] != message["id"]]
    TEMPLATES.change(call, template, {"localizedNotificationMessages": kept})
    return Reply(204)


def _found(call: Call) -> tuple[Json, Json]:
    template = TEMPLATES.find(call)
    for message in template["localizedNotificationMessages"]:
        if message["id"] == call.params["message"]:
            return template, message
    raise absent(call)


def _store(call: Call, template: Json, message: Json) -> None:
    """A new default takes the place of the old one."""
    message["lastModifiedDateTime"] = instant(call.now)
    others = [item for item in template["localizedNotificationMessages"] if item["id"] != message["id"]]
    changes: Json = {}
    if message["isDefault"]:
        others = [{**item, "isDefault": False} for item in others]
        changes["defaultLocale"] = message["locale"]
    TEMPLATES.change(call, template, {**changes, "localizedNotificationMessages": [*others, message]})
