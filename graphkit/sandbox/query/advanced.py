"""What directory objects may be asked: which filters and orders work as they come, which need the advanced query
parameters (``ConsistencyLevel: eventual`` with ``$count=true``), and which are refused.

The tables are those of microsoftgraph/microsoft-graph-docs-contrib concepts/includes/filter-directory-objects.md, the
rules around them those of concepts/aad-advanced-queries.md. Columns: eq, startsWith, ge/le, eq null; ``D`` works by
default, ``A`` with the advanced parameters, ``N`` never. Where a table leaves a cell empty (``-``) the resource pages
often promise support all the same; such queries are taken with the advanced parameters (an assumption).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from graphkit.sandbox.call import Call, Refusal
from graphkit.sandbox.query.filter import Clause, Filter

_USER = """
accountEnabled D - - N;  ageGroup D - - N;  assignedLicenses/skuId D - - N;  assignedPlans/capabilityStatus A - - N
assignedPlans/service A A - N;  assignedPlans/servicePlanId A - - N;  businessPhones A A - -;  city D D - A
companyName A A - A;  consentProvidedForMinor D - - N;  country D D - A;  createdDateTime D - D A
creationType D - - N;  deletedDateTime D - D A;  department D D - A;  displayName D D - A;  employeeHireDate A - A N
employeeId D - - A;  employeeLeaveDateTime A - A N;  employeeOrgData/costCenter A N - N
employeeOrgData/division A N - N;  employeeType A - - N;  externalUserState D - - N
externalUserStateChangeDateTime A - - N;  faxNumber A A - A;  givenName D D - A;  id D N N N;  identities/issuer D N - -
identities/issuerAssignedId D N - -;  identities/signInType D N - -;  imAddresses D D - -;  isResourceAccount D - - N
jobTitle D D - A;  mail D D - A;  mailNickname D D - A;  manager/id D - - -;  mobilePhone A A - A
officeLocation A A - A;  onPremisesExtensionAttributes/* A N - A;  onPremisesImmutableId D - - N
onPremisesLastSyncDateTime D - D N;  onPremisesProvisioningErrors/* D - - N;  onPremisesSamAccountName A A - N
onPremisesSecurityIdentifier D - - A;  onPremisesSyncEnabled D - - A;  onPremisesUserPrincipalName D D - -
otherMails D D - -;  passwordPolicies N N - A;  passwordProfile/* A - - A;  postalCode A A - A
preferredLanguage A A - A;  provisionedPlans/* A A - N;  proxyAddresses D D - -;  showInAddressList A - - N
signInActivity/* D N D A;  state D - - A;  streetAddress A A - A;  surname D D - A;  usageLocation D D - A
userPrincipalName D D - N;  userType D - - A
"""
"""Also of resources/user.md: deletedDateTime, employeeLeaveDateTime, externalUserStateChangeDateTime, id,
onPremisesUserPrincipalName, signInActivity; of resources/objectidentity.md: the other parts of identities."""

_GROUP = """
assignedLicenses/skuId D - - N;  classification D D - N;  createdByAppId D - - N;  createdDateTime N N N N
deletedDateTime A - A N;  description A A - A;  displayName D D - A;  expirationDateTime A - A N
groupTypes D - - -;  hasMembersWithLicenseErrors D - - D;  id D N N N;  isAssignableToRole D - - N;  mail D D - A
mailEnabled D - - N;  mailNickname D D - A;  membershipRule D D - N;  membershipRuleProcessingState D - - N
onPremisesLastSyncDateTime D - D N;  onPremisesProvisioningErrors/* D - - N;  onPremisesSamAccountName A A - N
onPremisesSecurityIdentifier D - - A;  onPremisesSyncEnabled D - - A;  preferredLanguage A A - A
proxyAddresses D D - -;  renewedDateTime D - D N;  resourceBehaviorOptions D - - -
resourceProvisioningOptions D - - -;  securityEnabled D - - N;  uniqueName D D - N
"""
"""createdDateTime is the example of a property without an index (aad-advanced-queries.md); groupTypes is filtered in
examples of filter-query-parameter.md, id in resources/group.md."""

_SERVICE_PRINCIPAL = """
accountEnabled D - - N;  alternativeNames D D - -;  appId D - - N;  appOwnerOrganizationId A - - N
appRoleAssignmentRequired A - - N;  applicationTemplateId D - - N;  description A A - A;  displayName D D - A
homepage A A - A;  id D N N N;  notes A A - A;  preferredSingleSignOnMode D - - N;  servicePrincipalNames D D - -
servicePrincipalType D - - N;  tags D D - -
"""


class _Rule(NamedTuple):
    eq: str
    starts: str
    range: str
    null: str


def _table(text: str) -> dict[str, _Rule]:
    rows = (row.split() for line in text.strip().splitlines() for row in line.split(";"))
    return {path: _Rule(*cells) for path, *cells in rows}


_FILTERS: Mapping[str, Mapping[str, _Rule]] = {
    "user": _table(_USER),
    "group": _table(_GROUP),
    "servicePrincipal": _table(_SERVICE_PRINCIPAL),
}
_COUNTED = {
    "user": {"assignedLicenses", "onPremisesProvisioningErrors", "otherMails", "ownedObjects", "proxyAddresses"},
    "group": {"assignedLicenses", "onPremisesProvisioningErrors", "owners", "proxyAddresses"},
    "servicePrincipal": {"federatedIdentityCredentials", "ownedObjects", "owners"},
}
_ENDINGS = frozenset({"mail", "otherMails", "proxyAddresses", "userPrincipalName"})
SORTS: Mapping[str, Mapping[str, str]] = {
    "user": {"displayName": "D", "userPrincipalName": "D", "createdDateTime": "A", "deletedDateTime": "A"},
    "group": {"displayName": "D", "deletedDateTime": "A"},
    "servicePrincipal": {"displayName": "A", "createdDateTime": "A", "deletedDateTime": "A"},
}


MAX_ALTERNATIVES = 15
MAX_EQUAL = 120
MAX_URL = 2048
"""developer.microsoft.com/graph/known-issues 13635: of ``in`` and ``eq`` by default, and of whole addresses where the
advanced query parameters come along."""


def is_eventual(call: Call) -> bool:
    return call.headers.get("consistencylevel", "").lower() == "eventual"


def is_counted(call: Call) -> bool:
    return call.query.get("$count").lower() == "true"


def can_search(type_name: str, path: str) -> bool:
    """ "Any property that can be used in ``$filter``" (concepts/search-query-parameter.md)."""
    return _rule(type_name, path) is not None


def check_filter(call: Call, types: tuple[str, ...], wanted: Filter, *, counted: bool, relation: bool) -> None:
    """Raises :class:`Refusal` if a filter, or one of its clauses, is not to be had with what came along."""
    advanced = is_eventual(call) and counted
    if relation and not advanced:
        raise _needs_more("filter")
    _check_size(call, wanted)
    if "user" in types:
        _check_apart(wanted, advanced)
    told = [type_name for type_name in types if type_name in _FILTERS] or types[:1]
    for clause in wanted.clauses:
        need, type_name = min((_need(type_name, clause), type_name) for type_name in told)
        if need == "N" or (need == "A" and not advanced):
            raise _unsupported(type_name, clause.path)
        if not advanced and clause.operator in ("endswith", "ne"):
            raise _needs_more({"endswith": "endsWith", "ne": "NotEquals"}[clause.operator])
    if wanted.negated and not advanced:
        raise _needs_more("Not")


def _check_size(call: Call, wanted: Filter) -> None:
    """The words about alternatives are the service's (seen in 2019); those about lengths, and their code, are ours."""
    if is_eventual(call):
        length = len(f"{call.root}{call.path}?{call.query.text}")
        if length > MAX_URL:
            raise _too_large(f"The request URL is too long: {length} characters. Max allowed: {MAX_URL}.")
    elif wanted.alternatives > MAX_ALTERNATIVES:
        raise _too_large(
            "Too many child clauses specified in search filter expression containing 'OR' operators: "
            f"{wanted.alternatives}. Max allowed: {MAX_ALTERNATIVES}."
        )
    elif wanted.longest > MAX_EQUAL:
        raise _too_large(f"The value to match is too long: {wanted.longest} characters. Max allowed: {MAX_EQUAL}.")


def _too_large(message: str) -> Refusal:
    return Refusal(400, "Request_UnsupportedQuery", message)


def _check_apart(wanted: Filter, advanced: bool) -> None:
    """Two properties do not like company: resources/user.md and microsoft-graph-docs#13369."""
    names = [clause.path.split("/")[0] for clause in wanted.clauses]
    if "signInActivity" in names and set(names) != {"signInActivity"}:
        raise _unsupported("user", "signInActivity")
    if "assignedLicenses" in names and len(names) > 1 and not advanced:
        raise Refusal(400, "Request_UnsupportedQuery", "Complex query on property assignedLicenses is not supported.")


def _rule(type_name: str, path: str) -> _Rule | None:
    table = _FILTERS.get(type_name, {})
    return table.get(path) or table.get(path.split("/")[0] + "/*")


def _need(type_name: str, clause: Clause) -> str:
    """``D``, ``A`` or ``N``."""
    if type_name not in _FILTERS:
        return "A" if clause.operator in ("ne", "endswith") or clause.path.endswith("/$count") else "D"
    if clause.path.endswith("/$count"):
        counted = clause.path.removesuffix("/$count") in _COUNTED[type_name] and clause.operator in ("eq", "ne")
        return "A" if counted else "N"
    if clause.operator == "endswith":
        return "D" if clause.path in _ENDINGS else "N"  # what it needs is told in words of its own
    rule = _rule(type_name, clause.path)
    if rule is None or clause.operator in ("all", "contains"):
        return "N"
    return _cell(rule, clause).replace("-", "A")


def _cell(rule: _Rule, clause: Clause) -> str:
    if clause.null:
        return rule.null
    if clause.operator == "startswith":
        return rule.starts
    return rule.range if clause.operator in ("ge", "le", "gt", "lt") else rule.eq


def check_order(call: Call, type_name: str, name: str, *, filtered: bool, relation: bool) -> None:
    """concepts/aad-advanced-queries.md, "Support for sorting"; the words from microsoft-graph-docs-contrib#4187 and
    #1354."""
    advanced = is_eventual(call) and is_counted(call)
    need = SORTS[type_name].get(name) if type_name in SORTS else "D"
    if need is None or (need == "A" and not advanced):
        raise Refusal(400, "Request_UnsupportedQuery", f"Unsupported sort property '{name}' for '{_title(type_name)}'.")
    if (filtered or relation) and not advanced:
        raise Refusal(400, "Request_UnsupportedQuery", "Sorting not supported for current query.")


def check_search(call: Call) -> None:
    if not is_eventual(call):
        raise Refusal(
            400,
            "Request_UnsupportedQuery",
            "Request with $search query parameter only works through MSGraph with a special request header: "
            "'ConsistencyLevel: eventual'",
        )


def _needs_more(operator: str) -> Refusal:
    """The documented words are those for ``endsWith``; the other operators' names in them are guesses."""
    return Refusal(
        400,
        "Request_UnsupportedQuery",
        f"Operator '{operator}' is not supported because the required parameters might be missing. Try adding "
        "$count=true query parameter and ConsistencyLevel:eventual header. Refer to "
        "https://aka.ms/graph-docs/advanced-queries for more information",
    )


def _unsupported(type_name: str, path: str) -> Refusal:
    return Refusal(
        400,
        "Request_UnsupportedQuery",
        f"Unsupported or invalid query filter clause specified for property '{path.split('/')[0]}' of resource "
        f"'{_title(type_name)}'.",
    )


def _title(type_name: str) -> str:
    return type_name[:1].upper() + type_name[1:]
