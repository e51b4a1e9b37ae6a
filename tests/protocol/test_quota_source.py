"""Our table against the published limits as they were collected, where that collection is at hand."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from graphkit.protocol.quota import charges, table
from graphkit.protocol.quota_table import buckets

COLLECTED = Path(__file__).parents[3] / "shared" / "reference" / "throttling.json"
pytestmark = pytest.mark.skipif(not COLLECTED.is_file(), reason="the collected limits are not here")

LEFT_OUT = {
    "sharepoint.": "files are not ours",
    "outlook.": "mailboxes are not ours",
    "intune.enrollment.": "the page prints the resources of device_enrollment twice; one counter does",
    "identity.applications.personal_audience": "only the body of a request tells which accounts an app is for",
}
OURS_ALONE = {"other"}
ANYTHING = {
    "{report}": "getEmailActivityUserDetail(period='D7')",
    "applicationSignInSummary*": "applicationSignInDetailedSummary",
    "userExperienceAnalytics*": "userExperienceAnalyticsOverview",
    "alerts*": "alerts_v2",
}
EXTENDED = ("users", "groups", "devices", "organization")


def document():
    return json.loads(COLLECTED.read_text("utf-8"))


def published():
    return document()["limits"] if COLLECTED.is_file() else []


def ours(row):
    return not row["id"].startswith(tuple(LEFT_OUT))


def our_id(row):
    return re.sub(r"\.ru\.[SML]$", ".ru", row["id"])


def addresses(path):
    """What a pattern stands for: with and without what may follow it."""
    for word, example in ANYTHING.items():
        path = path.replace(word, example)
    tails = ("", "/x9/y9") if path.endswith("/**") else ("",)
    for tail in tails:
        for resource in EXTENDED if "{resource}" in path else ("",):
            plain = path.removesuffix("/**").replace("{resource}", resource)
            yield re.sub(r"\{\w+\}", "x1", plain) + tail


def query(row):
    if row.get("when_format") == "json":
        return "?$format=application/json"
    return "?$select=id,signInActivity" if "when_query_contains" in row else ""


@pytest.mark.parametrize("row", [row for row in published() if ours(row)], ids=lambda row: row["id"])
def test_a_published_limit_is_ours_with_the_same_figure(row):
    bucket = table(row.get("tenant_size", "S"))[our_id(row)]
    assert (bucket.quota, bucket.window_s, bucket.unit) == (row["quota"], row["window_s"], row["unit"])
    assert bucket.retry_after == row["retry_after"]
    assert bucket.source
    if row["scope"] != "unstated":
        assert bucket.scope == row["scope"].partition(":")[0]
    if "partition" in row and row["service"] != "intune":
        assert bucket.split


@pytest.mark.parametrize(
    "row", [row for row in published() if ours(row) and not row.get("is_default")], ids=lambda row: row["id"]
)
def test_a_published_limit_counts_what_it_says_it_counts(row):
    methods = ("GET", "POST") if row["match"]["methods"] == ["*"] else row["match"]["methods"]
    paths = itertools.chain.from_iterable(addresses(path) for path in row["match"]["paths"])
    for method, path in itertools.product(methods, paths):
        counted = {charge.bucket for charge in charges(method, path + query(row), delegated=True)}
        assert our_id(row) in counted, f"{method} {path}"


def test_nothing_is_left_out_without_a_reason_and_nothing_is_made_up():
    known = {our_id(row) for row in published() if ours(row)}
    assert set(buckets()) - OURS_ALONE == known
    for start in LEFT_OUT:
        assert any(row["id"].startswith(start) for row in published()), start


def test_directory_calls_cost_what_is_published():
    cost = document()["identity_cost"]
    for row in cost["base"]:
        path = row["path"].replace("{collection}", "directoryObjects").replace("{object}", "users/x1")
        path = re.sub(r"\{\w+\}", "x1", path)
        due = {charge.bucket: charge.amount for charge in charges(row["method"], path)}
        assert due["identity.app_tenant.ru"] == row["ru"], path
        assert ("identity.app_tenant.writes" in due) == bool(row["writes"]), path
    for row in cost["defaults"]:
        due = {charge.bucket: charge.amount for charge in charges(row["method"], "/groups/x1")}
        assert (due["identity.app_tenant.ru"], "identity.app_tenant.writes" in due) == (row["ru"], bool(row["writes"]))
    for example in cost["examples"]:
        method, path = example["request"].split(" with ")[0].split(" ")
        due = {charge.bucket: charge.amount for charge in charges(method, re.sub(r"\{\w+\}", "x1", path))}
        assert due["identity.app_tenant.ru"] == example["ru"], path
