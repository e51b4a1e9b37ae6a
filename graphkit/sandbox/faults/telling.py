"""What a rule tells: status, headers, body; errors in the words of Graph or of the login service."""

from __future__ import annotations

from email.utils import formatdate

from graphkit.sandbox.call import Json, Mishap, Refusal, Reply
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.actions import Struck
from graphkit.sandbox.faults.checks import Kind
from graphkit.sandbox.login.bearer import unauthorised
from graphkit.sandbox.login.refusal import LoginRefusal
from graphkit.sandbox.throttle.buckets import too_many

TELLING: dict[str, Kind] = {
    "status": checks.STATUS,
    "headers": checks.HEADERS,
    "retry_after": checks.RETRY_AFTER,
    "body": checks.ANYTHING,
    "code": ("text", lambda value: isinstance(value, str)),
    "message": ("text", lambda value: isinstance(value, str)),
    "failure": checks.one_of("timeout", "reset"),
}
"""Of ``commit-then`` the failure may be a GOAWAY as well: of a call that was executed HTTP/2 tells one."""


def telling(*names: str) -> dict[str, Kind]:
    """Some of the keys that say what is told."""
    return {name: TELLING[name] for name in names}


# Codes as seen in public threads: 504 and others without words in microsoft-graph-docs#133 and #2505, 502 and 503 for a
# team that exists in #6551, 412 of Intune in #17791. No thread shows a 423 of these services.
_CODES: dict[int, tuple[str, str]] = {
    400: ("Request_BadRequest", "Invalid request."),
    401: ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
    403: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    404: ("Request_ResourceNotFound", "Resource does not exist or one of its queried reference-property objects are "
                                      "not present."),
    409: ("Conflict", "Conflict"),
    410: ("resyncRequired", "Resync is required."),
    412: ("ConditionNotMet", "A precondition of the request does not match the resource's current state."),
    423: ("Locked", "The resource that is being accessed is locked."),
    424: ("FailedDependency", "A request that this one depends on failed."),
    500: ("InternalServerError", "An internal server error occurred."),
    502: ("BadGateway", ""),
    503: ("ServiceUnavailable", "The service is temporarily unavailable."),
}  # fmt: skip

# entra-docs docs/identity-platform/reference-error-codes.md; the shape of 90033 in azure-sdk-for-python#14241.
LOGIN_REFUSALS: dict[int, tuple[str, int, int, str]] = {
    7000215: ("invalid_client", 7000215, 401, "Invalid client secret provided."),
    7000222: ("invalid_client", 7000222, 401, "The provided client secret keys for the app are expired."),
    700016: ("unauthorized_client", 700016, 400, "The application was not found in the directory."),
    700024: ("invalid_client", 700024, 401, "Client assertion is not within its valid time range."),
    700027: ("invalid_client", 700027, 401, "Client assertion failed signature validation."),
    7000112: ("unauthorized_client", 7000112, 400, "The application is disabled."),
    50196: ("invalid_grant", 50196, 400, "The server terminated an operation because it encountered a client request "
                                         "loop."),
    50076: ("interaction_required", 50076, 400, "You must use multi-factor authentication to access the resource."),
    53003: ("access_denied", 53003, 400, "Access has been blocked by Conditional Access policies."),
    65001: ("invalid_grant", 65001, 400, "The user or administrator has not consented to use the application."),
    90033: ("temporarily_unavailable", 90033, 503, "A transient error has occurred. Please try again."),
    90055: ("temporarily_unavailable", 90055, 429, "There are too many incoming requests."),
}  # fmt: skip


def _login_refusal(status: int) -> tuple[str, int, int, str]:
    if status == 429:
        return LOGIN_REFUSALS[90055]
    if status >= 500:
        error, code, _, message = LOGIN_REFUSALS[90033]
        return error, code, status, message
    return "invalid_request", 900144, status, "The request is malformed."


def stated(spec: Json, now: float) -> dict[str, str]:
    """The headers that a rule names, ``Retry-After`` in whatever form."""
    headers = {name: str(value) for name, value in spec.get("headers", {}).items() if value is not None}
    wait = spec.get("retry_after")
    if isinstance(wait, dict):
        headers["Retry-After"] = formatdate(now + wait["date"], usegmt=True)
    elif wait is not None:
        headers["Retry-After"] = str(wait)
    return headers


def refuse(struck: Struck, refusal: Refusal) -> Reply:
    """An error in the words of the service that was asked."""
    asked, spec = struck.asked, struck.spec
    if not asked.login:
        return asked.tenant.refused(refusal, asked.incoming)
    known = LOGIN_REFUSALS.get(spec.get("aadsts", 0)) or _login_refusal(refusal.status)
    error, code, status, message = known
    told = LoginRefusal(error, code, spec.get("message", message), spec.get("status", status))
    reply = asked.tenant.login.refused(told, asked.incoming.headers)
    reply.headers |= refusal.headers
    return reply


def error(struck: Struck, status: int) -> Refusal:
    spec, asked = struck.spec, struck.asked
    headers = stated(spec, asked.now)
    if status == 429:
        known = too_many(headers)
        code, message, inner = known.code, known.message, known.inner
    else:
        code, message = _CODES.get(status, ("UnknownError", ""))
        inner = {}
    if status == 404 and asked.workload != "identity":
        code, message = "NotFound", "The resource could not be found."
    if status == 401:
        headers = {**unauthorised("").headers, **headers}
    return Refusal(status, spec.get("code", code), spec.get("message", message), headers, inner)


def tell(struck: Struck, default: int) -> Reply:
    """What a rule says instead of the true answer."""
    spec = struck.spec
    if spec.get("failure"):
        return Reply(0, failure=Mishap(spec["failure"], processed=True))
    status = int(spec.get("status", default))
    if "body" in spec or (status < 400 and "aadsts" not in spec):
        return Reply(status, spec.get("body"), stated(spec, struck.asked.now))
    return refuse(struck, error(struck, status))
