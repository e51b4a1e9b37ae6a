"""The worked example on each page about licences is run as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from graphkit.sandbox.areas.licensing import set_states, state_of
from graphkit.sandbox.seeding.activity import set_last_seen
from graphkit.sandbox.seeding.skus import PRODUCTS

PAGES = Path(__file__).parents[2] / "docs" / "recipes"


def people(tenant, sku, numbers):
    """Give these people a licence directly."""
    with tenant.changed() as here:
        for number in numbers:
            user = here.state.get("users", here.seed.id_of("user", f"rx1-{number:04}@contoso.example"))
            set_states(here, user, [state_of(PRODUCTS[sku].id, None, (), 0.0)])


def assign(tenant):
    tenant.seed(users=60, licensed=0)
    people(tenant, "SPE_F1", (1, 2, 3))


def pools(tenant):
    tenant.seed(users=60, licensed=0)


def reclaim(tenant):
    tenant.seed(users=60, licensed=0)
    people(tenant, "SPE_E3", (1, 2))
    with tenant.changed() as here:
        for number in (1, 2):
            set_last_seen(here, here.seed.id_of("user", f"rx1-{number:04}@contoso.example"), 120)


def reconcile(tenant):
    tenant.seed(users=60, licensed=0)
    with tenant.changed() as here:
        sku = PRODUCTS["SPE_E3"].id
        group = here.state.table("groups").in_order()[0]
        here.state.put("groups", {**group, "assignedLicenses": [{"skuId": sku, "disabledPlans": []}]})
        for number in (1, 2):
            user = here.state.get("users", here.seed.id_of("user", f"rx1-{number:04}@contoso.example"))
            here.state.link("members", group["id"], user["id"])
            set_states(here, user, [state_of(sku, group["id"], (), 0.0, "CountViolation")])


BEFORE = {
    "licenses.assign": assign,
    "licenses.pools": pools,
    "licenses.reclaim": reclaim,
    "licenses.reconcile": reconcile,
}


@pytest.mark.parametrize("name", BEFORE)
def test_the_example_does_what_the_page_says(name, simulated, tenant, tmp_path, monkeypatch):
    BEFORE[name](tenant)
    monkeypatch.chdir(tmp_path)
    example = (PAGES / f"{name}.md").read_text(encoding="utf-8").partition("## Example")[2]
    for file, text in re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", example, re.S):
        (tmp_path / file).write_text(text, encoding="utf-8")
    commands = re.findall(r"\$ graphkit (.*)\n((?:(?!\$|```).*\n)*)", example)
    assert len(commands) >= 2
    for command, shown in commands:
        ended = simulated(*shlex.split(command))
        assert ended.code in (0, 3), ended.stderr
        assert [line.strip(" ,[]") for line in ended.stdout.split("\n") if line.strip(" ,[]")] == shown.splitlines()
