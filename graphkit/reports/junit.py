"""Differences as JUnit XML, which build servers show: a suite for each recipe, a failed case for each difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from graphkit.reports.text import printable


def write_junit(path: Path, findings_of: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """``findings_of`` maps a recipe to its findings as ``drift -o json`` gives them. An accepted one is skipped, with
    who accepted it; a recipe without any has one case that passed.
    """
    root = Xml.Element("testsuites", name="graphkit drift")
    for recipe, findings in findings_of.items():
        suite = Xml.SubElement(root, "testsuite", name=recipe)
        for finding in findings:
            _case(suite, finding)
        if not len(suite):
            Xml.SubElement(suite, "testcase", classname=recipe, name="no difference")
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    path.write_bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(suite: Xml.Element, finding: Mapping[str, Any]) -> None:
    # What XML cannot hold, and what would steer a terminal, is spelt out.
    name = printable(f"{finding['action']} {finding['kind']} {finding['key']}")
    case = Xml.SubElement(suite, "testcase", classname=str(finding["recipe"]), name=name)
    said = printable("; ".join(part for part in (finding["note"], finding["history"]) if part))
    if accepted := finding["accepted"]:
        reason = f"accepted by {accepted['owner']} until {accepted['until']}: {accepted['reason']}"
        Xml.SubElement(case, "skipped", message=printable(reason))
    else:
        Xml.SubElement(case, "failure", message=said or "it differs", type=str(finding["action"]))
