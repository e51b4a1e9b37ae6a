"""Write docs/simulated-tenant-reference.md: what the simulated tenant models, what not, by which source, proved where.

    python tools/simulated_tenant.py

Endpoints come from the router, the published paths that have none from the metadata; behaviours are listed below, each
with the public page that it follows and the test that would notice its loss. A test holds the page against this file.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from graphkit.sandbox.areas import ROUTES
from graphkit.sandbox.router import Route
from graphkit.sandbox.schema.tables import collections_at_the_root

PAGE = Path(__file__).parents[1] / "docs" / "simulated-tenant-reference.md"
CONCEPTS = "https://learn.microsoft.com/graph/"
ENTRA = "https://learn.microsoft.com/entra/"


class Behaviour(NamedTuple):
    """``proof`` is the name of a test; empty for what is not modelled."""

    what: str
    source: str
    proof: str = ""


BEHAVIOURS: dict[str, list[Behaviour]] = {
    "Batches": [
        Behaviour(
            "up to 20 items, malformed envelopes refused whole",
            f"{CONCEPTS}json-batching",
            "test_a_malformed_envelope_is_refused_whole",
        ),
        Behaviour(
            "answers in an order of their own, statuses one by one",
            f"{CONCEPTS}json-batching",
            "test_a_batch_answers_each_item_by_id_in_an_order_of_its_own",
        ),
        Behaviour(
            "424 for what depends on a failure",
            f"{CONCEPTS}json-batching",
            "test_what_depends_on_a_failure_fails_with_424",
        ),
        Behaviour(
            "each item charged by itself",
            f"{CONCEPTS}throttling",
            "test_3000_identity_writes_in_150_seconds_and_no_more",
        ),
    ],
    "Queries and pages": [
        Behaviour(
            "pages of 100, links that lead to the end",
            f"{CONCEPTS}paging",
            "test_a_page_holds_100_unless_asked_and_links_lead_to_the_end",
        ),
        Behaviour(
            "advanced queries need ConsistencyLevel and $count, on every page",
            f"{CONCEPTS}aad-advanced-queries",
            "test_the_header_of_an_advanced_query_is_needed_on_every_page",
        ),
        Behaviour(
            "the count on the first page only", f"{CONCEPTS}paging", "test_the_count_comes_on_the_first_page_only"
        ),
        Behaviour(
            "what no filter or order can be had for",
            f"{CONCEPTS}aad-advanced-queries",
            "test_what_cannot_be_filtered_is_refused",
        ),
        Behaviour(
            "fifteen alternatives and 120 characters to a filter",
            "https://developer.microsoft.com/graph/known-issues/?search=13635",
            "test_a_filter_by_default_holds_fifteen_alternatives_and_short_values",
        ),
        Behaviour(
            "transitive lists are cast in advanced queries only",
            f"{CONCEPTS}aad-advanced-queries",
            "test_a_cast_of_what_is_transitive_is_an_advanced_query",
        ),
        Behaviour(
            "search by the beginnings of words",
            f"{CONCEPTS}search-query-parameter",
            "test_search_finds_words_by_their_beginnings",
        ),
        Behaviour(
            "delta: rounds, removals, replays, tokens of a week",
            f"{CONCEPTS}delta-query-overview",
            "test_a_token_lives_seven_days",
        ),
        Behaviour("an index of its own for advanced queries, which lags longer", f"{CONCEPTS}aad-advanced-queries"),
    ],
    "Bodies": [
        Behaviour(
            "unknown names refused at any depth", f"{CONCEPTS}errors", "test_an_unknown_name_is_refused_at_any_depth"
        ),
        Behaviour(
            "types and forms of values",
            "https://docs.oasis-open.org/odata/odata-csdl-xml/v4.01/",
            "test_a_value_of_another_form_is_a_literal_that_cannot_be_converted",
        ),
        Behaviour(
            "the types of Microsoft's own SDK",
            "https://github.com/microsoftgraph/msgraph-sdk-python",
            "test_every_property_has_the_type_that_msgraph_sdk_gives_it",
        ),
        Behaviour(
            "settings catalogue: definitions and their values",
            f"{CONCEPTS}api/resources/intune-deviceconfigv2-deviceconfigv2",
        ),
    ],
    "Throttling": [
        Behaviour(
            "the published limits, row by row",
            f"{CONCEPTS}throttling-limits",
            "test_each_call_is_counted_in_the_limits_of_its_rows",
        ),
        Behaviour("resource units and what they cost", f"{CONCEPTS}throttling-limits", "test_resource_units_are_told"),
        Behaviour(
            "told before the limit is reached",
            f"{CONCEPTS}throttling-limits",
            "test_nearing_the_limit_is_told_before_it_is_reached",
        ),
        Behaviour("refused calls are charged", f"{CONCEPTS}throttling", "test_refused_calls_are_charged_too"),
        Behaviour(
            "conditional access: one a second, no Retry-After",
            f"{CONCEPTS}throttling-limits",
            "test_conditional_access_allows_one_a_second_and_does_not_say_when",
        ),
        Behaviour(
            "other apps' share of the tenant's quota",
            f"{CONCEPTS}throttling-limits",
            "test_other_apps_take_their_share_of_what_all_have",
        ),
        Behaviour("limits per signed-in user, concurrency, bytes", f"{CONCEPTS}throttling-limits"),
    ],
    "Consistency": [
        Behaviour(
            "new objects seen by one replica and missed by another",
            f"{CONCEPTS}best-practices-concept",
            "test_a_new_object_is_seen_and_missed_and_seen_again_then_stays",
        ),
        Behaviour(
            "changed properties lag",
            f"{CONCEPTS}api/user-list",
            "test_a_changed_property_is_seen_and_missed_and_seen_again_then_stays",
        ),
        Behaviour(
            "memberships lag, coming and going",
            f"{CONCEPTS}api/group-list-members",
            "test_memberships_lag_when_they_come_and_when_they_go",
        ),
        Behaviour(
            "a young group is no team yet",
            f"{CONCEPTS}api/team-put-teams",
            "test_a_young_group_is_not_found_when_a_team_is_asked_for",
        ),
        Behaviour(
            "accepted and effective apart: licences of groups",
            f"{CONCEPTS}api/group-assignlicense",
            "test_group_licences_arrive_later_and_leave_with_the_membership",
        ),
        Behaviour(
            "accepted and effective apart: teams",
            f"{CONCEPTS}api/team-post",
            "test_a_team_made_outright_comes_later_but_its_id_is_known_at_once",
        ),
        Behaviour(
            "accepted and effective apart: Autopilot",
            f"{CONCEPTS}api/intune-enrollment-importedwindowsautopilotdeviceidentity-import",
            "test_an_import_is_polled_and_its_devices_appear_later_still",
        ),
        Behaviour(
            "the log tells when a write could be seen and was effective",
            f"{CONCEPTS}best-practices-concept",
            "test_the_log_tells_when_what_was_accepted_had_been_done_and_could_be_seen",
        ),
    ],
    "Directory": [
        Behaviour(
            "upsert by uniqueName", f"{CONCEPTS}api/group-upsert", "test_an_upsert_creates_once_and_updates_after"
        ),
        Behaviour(
            "20 members in one PATCH, all or none",
            f"{CONCEPTS}api/group-post-members",
            "test_twenty_members_in_one_patch_all_or_none",
        ),
        Behaviour(
            "role-assignable groups",
            f"{ENTRA}identity/role-based-access-control/groups-concept",
            "test_a_role_assignable_group_is_for_who_manages_roles",
        ),
        Behaviour(
            "membership by rule",
            f"{ENTRA}identity/users/groups-dynamic-membership",
            "test_a_new_rule_finds_its_members_a_while_later",
        ),
        Behaviour(
            "hidden membership",
            f"{CONCEPTS}api/group-list-members",
            "test_hidden_members_are_no_members_for_who_may_not_see_them",
        ),
        Behaviour(
            "what a user may be",
            f"{CONCEPTS}api/user-post-users",
            "test_what_no_user_can_be_is_refused",
        ),
        Behaviour(
            "people mastered on premises",
            f"{CONCEPTS}api/user-update",
            "test_what_is_mastered_on_premises_is_not_changed_here",
        ),
        Behaviour(
            "sign-in activity, by a permission of its own",
            f"{CONCEPTS}api/resources/signinactivity",
            "test_sign_in_activity_has_a_permission_of_its_own",
        ),
        Behaviour("guests by invitation", f"{CONCEPTS}api/invitation-post", "test_an_invitation_makes_a_guest"),
        Behaviour(
            "deleted users come back with all they had",
            f"{CONCEPTS}api/directory-deleteditems-restore",
            "test_a_restored_user_has_everything_again",
        ),
        Behaviour(
            "naming policy and blocked words",
            f"{ENTRA}identity/users/groups-naming-policy",
            "test_blocked_words_are_whole_words_whatever_their_case",
        ),
        Behaviour("the expiry of groups being carried out", f"{CONCEPTS}api/resources/grouplifecyclepolicy"),
        Behaviour("rules on devices, direct reports, memberOf", f"{ENTRA}identity/users/groups-dynamic-membership"),
    ],
    "Licences": [
        Behaviour(
            "every error of licenseAssignmentStates with its cause",
            f"{CONCEPTS}api/resources/licenseassignmentstate",
            "test_every_failure_is_recorded_with_its_cause",
        ),
        Behaviour(
            "one product that fails holds back the rest of its group",
            f"{ENTRA}fundamentals/licensing-groups-resolve-problems",
            "test_one_product_that_fails_holds_back_the_rest_of_its_group",
        ),
        Behaviour(
            "reprocessing cures what it can",
            f"{CONCEPTS}api/user-reprocesslicenseassignment",
            "test_reprocessing_cures_what_has_become_curable",
        ),
        Behaviour(
            "subscriptions that ran out",
            f"{CONCEPTS}api/resources/subscribedsku",
            "test_units_that_have_run_out_say_so_and_cannot_be_assigned",
        ),
        Behaviour("mailboxes and other provisioning by a licence", f"{CONCEPTS}api/user-assignlicense"),
    ],
    "Teams": [
        Behaviour(
            "members in bulk, 207 for some",
            f"{CONCEPTS}api/conversationmembers-add",
            "test_some_who_are_not_there_do_not_spoil_the_rest",
        ),
        Behaviour("archived teams", f"{CONCEPTS}api/team-archive", "test_an_archived_team_is_not_changed"),
        Behaviour(
            "a repeated POST makes another team",
            f"{CONCEPTS}api/team-post",
            "test_a_repeated_request_makes_another_team",
        ),
        Behaviour(
            "group and team membership reach each other at their own pace",
            "https://learn.microsoft.com/microsoftteams/office-365-groups",
            "test_what_changes_in_the_group_reaches_the_team_later",
        ),
        Behaviour("apps, tabs, files, messages", f"{CONCEPTS}teams-concept-overview"),
    ],
    "Conditional access and identity": [
        Behaviour(
            "policies, their rules and what the service fills in",
            f"{CONCEPTS}api/conditionalaccessroot-post-policies",
            "test_the_service_fills_in_what_a_policy_leaves_out",
        ),
        Behaviour(
            "the published baseline and templates are accepted",
            "https://github.com/j0eyv/ConditionalAccessBaseline",
            "test_the_published_baseline_of_36_policies_is_accepted_once_bound",
        ),
        Behaviour(
            "what report-only policies would have done",
            f"{CONCEPTS}api/resources/signin",
            "test_report_only_tells_what_would_have_been",
        ),
        Behaviour(
            "temporary access passes, told once",
            f"{CONCEPTS}api/authentication-post-temporaryaccesspassmethods",
            "test_a_pass_is_told_once",
        ),
        Behaviour(
            "who has registered what",
            f"{CONCEPTS}api/authenticationmethodsroot-list-userregistrationdetails",
            "test_seven_in_ten_are_registered_and_some_by_phone_only",
        ),
        Behaviour(
            "partners and the default of cross-tenant access",
            f"{CONCEPTS}api/crosstenantaccesspolicy-post-partners",
            "test_a_partner_is_made_changed_and_deleted",
        ),
        Behaviour("phone methods, terms accepted by people", f"{CONCEPTS}api/authentication-list-phonemethods"),
    ],
    "Intune": [
        Behaviour(
            "assign replaces the whole set",
            f"{CONCEPTS}api/intune-deviceconfig-devicecompliancepolicy-assign",
            "test_assign_replaces_the_whole_set",
        ),
        Behaviour(
            "exactly one block action",
            "https://github.com/microsoftgraph/microsoft-graph-docs/issues/7746",
            "test_a_compliance_policy_that_breaks_a_rule_is_refused",
        ),
        Behaviour(
            "published policies come back as they were sent",
            "https://github.com/vanvfields/Microsoft-365",
            "test_published_policies_are_accepted_and_come_back_as_they_were_sent",
        ),
        Behaviour(
            "filters that are passed over in silence",
            f"{CONCEPTS}api/intune-devices-manageddevice-list",
            "test_any_other_filter_is_passed_over_in_silence",
        ),
        Behaviour(
            "devices obey when they next check in",
            f"{CONCEPTS}api/intune-devices-manageddevice-retire",
            "test_a_device_leaves_when_it_next_checks_in",
        ),
        Behaviour("what policies do to devices", f"{CONCEPTS}api/resources/intune-device-cfg-conceptual"),
    ],
    "Reports": [
        Behaviour(
            "a redirect to a CSV behind a link that ends",
            f"{CONCEPTS}api/reportroot-getoffice365activeuserdetail",
            "test_an_address_is_good_for_some_minutes",
        ),
        Behaviour(
            "concealed names",
            f"{CONCEPTS}api/resources/adminreportsettings",
            "test_names_are_concealed_when_the_setting_says_so",
        ),
    ],
    "Signing in": [
        Behaviour(
            "client secret, certificate, federation, device code, refresh",
            f"{ENTRA}identity-platform/v2-oauth2-client-creds-grant-flow",
            "test_the_login_service_refuses_in_its_own_words",
        ),
        Behaviour(
            "managed identity of App Service and of machines",
            f"{ENTRA}identity/managed-identities-azure-resources/how-to-use-vm-token",
            "test_azure_identity_gets_a_token_that_graph_accepts",
        ),
        Behaviour(
            "continuous access evaluation",
            f"{ENTRA}identity-platform/claims-challenge",
            "test_a_challenge_is_met_by_a_newer_token_of_the_same_app",
        ),
        Behaviour(
            "permissions, operation by operation",
            f"{CONCEPTS}permissions-reference",
            "test_an_operation_is_refused_without_and_never_with_its_permissions",
        ),
        Behaviour("the sign-in page for browsers", f"{ENTRA}identity-platform/v2-oauth2-auth-code-flow"),
        Behaviour("directory roles of the person signed in", f"{CONCEPTS}permissions-overview"),
    ],
    "Failing": [
        Behaviour(
            "executed, and told otherwise",
            "https://github.com/microsoftgraph/microsoft-graph-docs/issues/7890",
            "test_a_write_can_be_committed_and_denied",
        ),
        Behaviour(
            "told an error now, executed later",
            "https://github.com/pnp/powershell/issues/3964",
            "test_an_error_now_and_the_write_later",
        ),
        Behaviour(
            "waits told in any form or not at all",
            "https://github.com/microsoftgraph/microsoft-graph-docs/issues/3877",
            "test_a_wait_is_told_in_any_form_or_not_at_all",
        ),
        Behaviour(
            "batches that break off", f"{CONCEPTS}json-batching", "test_a_batch_can_fail_after_some_of_its_items"
        ),
        Behaviour(
            "links that loop, end early or lead elsewhere",
            "https://github.com/microsoftgraph/microsoft-graph-docs/issues/4897",
            "test_a_link_that_leads_elsewhere",
        ),
        Behaviour(
            "resets, GOAWAY, half a body, a bomb, a proxy's page",
            "https://www.rfc-editor.org/rfc/rfc9113",
            "test_nothing_is_told",
        ),
        Behaviour(
            "two writes at once", "https://github.com/nais/azurerator/issues/448", "test_two_writes_to_one_object_clash"
        ),
        Behaviour(
            "the process dies at a chosen call",
            "https://www.sqlite.org/atomiccommit.html",
            "test_the_process_dies_before_after_or_once_it_has_answered",
        ),
    ],
}


def render() -> str:
    return "\n".join([*_head(), *_behaviours(), *_endpoints(), *_missing()]) + "\n"


def _head() -> list[str]:
    return [
        "# The simulated tenant: endpoints and behaviours",
        "",
        "Made by `python tools/simulated_tenant.py`; [how to use the tenant](simulated-tenant.md) is told elsewhere.",
        "What is not modelled answers 501 `NotModelled`. `graphkit sim endpoints -o json` lists the endpoints with the",
        "permissions that allow them.",
        "",
    ]


def _behaviours() -> list[str]:
    lines = ["## Behaviours", "", "| | modelled | behaviour | after | proved by |", "|---|---|---|---|---|"]
    for area, behaviours in BEHAVIOURS.items():
        for what, source, proof in behaviours:
            shown = f"`{proof}`" if proof else ""
            lines.append(f"| {area} | {'yes' if proof else 'no'} | {what} | [source]({source}) | {shown} |")
    return [*lines, ""]


def _endpoints() -> list[str]:
    by_path: dict[str, list[Route]] = defaultdict(list)
    for route in ROUTES:
        by_path[route.template].append(route)
    lines = [
        "## Endpoints",
        "",
        f"{len(ROUTES)} operations on {len(by_path)} paths.",
        "",
        "| path | methods | version |",
    ]
    lines.append("|---|---|---|")
    for path in sorted(by_path, key=str.lower):
        routes = sorted(by_path[path], key=lambda route: route.method)
        methods = " ".join(f"[{route.method}]({route.source})" for route in routes)
        lines.append(f"| `{path}` | {methods} | {'beta' if all(route.beta_only for route in routes) else ''} |")
    return [*lines, ""]


def _missing() -> list[str]:
    """What v1.0 has at its root and the tenant has nothing of."""
    present = {route.template.split("/")[1].partition("(")[0].lower() for route in ROUTES}
    absent = sorted((name for name in collections_at_the_root() if name.lower() not in present), key=str.lower)
    names = ", ".join(f"`{name}`" for name in absent)
    return ["## Not modelled", "", f"Of what v1.0 has at its root, nothing below these is modelled: {names}.", ""]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
