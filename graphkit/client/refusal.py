"""A refusal of the service as an error for people: the one place where :class:`ServiceError` is made."""

from __future__ import annotations

from graphkit.errors import GraphkitError, OutcomeUnknown, ServiceError
from graphkit.protocol.budget import is_read
from graphkit.protocol.message import Request, Response

_HINTS = {
    400: "the service finds fault with the request itself; its message says with what",
    401: "the token was refused, a fresh one too; sign in again with graphkit auth login",
    402: "the tenant lacks the licence that this part of Graph asks for",
    403: "compare the permissions with graphkit auth permissions RECIPE",
    404: "check the id; an object just created may take minutes to appear",
    409: "something of that name or key is there already; plan again",
    412: "it changed since it was read; plan again",
    423: "somebody else is changing it; try again later",
    429: "the service is overloaded for this tenant; resume later",
    501: "the service cannot do this, perhaps because of a property in $select",
}


def service_error(request: Request, response: Response) -> ServiceError:
    """What was asked (without its query, which may hold secrets), and what the service said about it."""
    problem = response.error
    code = problem.inner_codes[-1] if problem.inner_codes and not problem.code else problem.code
    said = ": ".join(part for part in (f"{response.status} {code}".rstrip(), problem.message) if part)
    trace = f" (request-id {problem.request_id})" if problem.request_id else ""
    hint = _HINTS.get(response.status, "the service failed; try again later" if response.status >= 500 else "")
    if 300 <= response.status < 400:
        hint = "it points elsewhere, which is not followed; check the address of the service, or what stands before it"
    return ServiceError(
        f"{request.method} {request.path.partition('?')[0]}: {said}{trace}",
        status=response.status,
        service_code=code,
        service_message=problem.message,
        request_id=problem.request_id,
        client_request_id=response.client_request_id,
        date=problem.date,
        attempts=response.attempts,
        hint=hint,
    )


def unreadable(request: Request, response: Response) -> GraphkitError:
    """A success that is not JSON: perhaps somebody else's answer, so that of a write it proves nothing."""
    problem = response.error
    said = response.headers.get("content-type", "") or "no type"
    what = (
        f"{request.method} {request.path.partition('?')[0]}: answered {response.status} with {said}, which is not JSON"
    )
    ids = {"request_id": problem.request_id, "client_request_id": response.client_request_id}
    if not is_read(request):
        return OutcomeUnknown(what, status=response.status, **ids)
    hint = "check the address, and what stands before the service; a file is fetched with download"
    return ServiceError(what, status=response.status, date=problem.date, attempts=response.attempts, hint=hint, **ids)
