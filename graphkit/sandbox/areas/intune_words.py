"""How Intune says no. Its services stand behind Graph's gateway, and their words come through as they are.

- What the model of the data forbids: 400 ``ModelValidationFailure`` in plain words (microsoftgraph/microsoft-graph-docs
  #5517, Micke-K/IntuneManagement#4).
- What a service forbids, and what is not there: the message is itself JSON, with ``_version`` and ``Message``
  (Microsoft365DSC/Microsoft365DSC#3438, ThomasKur/IntuneDocumentation#39, MG-Cloudflow/Intune-Toolkit and many more).
- What nobody wrote a method for, though it is documented: the code is "No method match route template"
  (microsoftgraph/microsoft-graph-docs#4104, microsoft-graph-docs-contrib#7499).
"""

from __future__ import annotations

import json
from typing import Any

from graphkit.sandbox.call import Call, Json, Refusal, bad_request
from graphkit.sandbox.schema.check import Type, as_seen, check, settable

MODEL = "ModelValidationFailure"
_NO_OPERATION = "00000000-0000-0000-0000-000000000000"


def service_message(call: Call, text: str) -> str:
    activity = call.headers.get("client-request-id", _NO_OPERATION)
    # The real address is one of the service's scale units and of no use to anybody outside.
    where = f"https://fef.manage.example{call.path}"
    return json.dumps(
        {
            "_version": 3,
            "Message": f"{text} - Operation ID (for customer support): {_NO_OPERATION} - Activity ID: {activity} - "
            f"Url: {where}",
            "CustomApiErrorPhrase": "",
            "RetryAfter": None,
            "ErrorSourceService": "",
            "HttpHeaders": "{}",
        },
        indent=2,
    )


def refuse(call: Call, text: str = "An error has occurred") -> Refusal:
    """A rule of the service is broken. Often it says no more than that an error has occurred."""
    return bad_request(service_message(call, text), "BadRequest")


def absent(call: Call) -> Refusal:
    return Refusal(404, "ResourceNotFound", service_message(call, "An error has occurred"))


def no_route(call: Call, template: str) -> Refusal:
    message = (
        f"No OData route exists that match template {template} with http verb {call.method} for request {call.path}."
    )
    return bad_request(message, "No method match route template")


def model_error(text: str) -> Refusal:
    return bad_request(text, MODEL)


def find(call: Call, table: str, key: str) -> Json:
    """The object of this id, if the replica that answers this call knows it. Raises :class:`Refusal` (404)."""
    item = call.tenant.state.get(table, key.lower())
    if item is None or not call.tenant.replication.visible(item, call.now, call.replica):
        raise absent(call)
    return item


def read(call: Call, body: Any, expected: str) -> tuple[Json, Type]:
    """A body that fits the model, without annotations and without what only the service sets.

    The latter is passed over in silence: bodies with id, createdDateTime, lastModifiedDateTime and version are
    accepted (microsoftgraph/microsoft-graph-docs#4003), and Microsoft's own examples of creating send ``version``.
    """
    if not isinstance(body, dict):
        raise refuse(call)
    found = check(body, expected, call.version, code=MODEL)
    return {name: value for name, value in settable(body, found).items() if "@" not in name}, found


def seen(call: Call, item: Json, type_name: str) -> Json:
    """Something that is shown within something else, as this version shows it."""
    return as_seen(item, type_name, call.version) if call.version == "v1.0" else item
