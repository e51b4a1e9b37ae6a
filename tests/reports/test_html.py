"""The page: complete, self-contained, and harmless whatever the tenant or the input holds."""

import base64
import hashlib
import os
import re
from html.parser import HTMLParser

import pytest

from graphkit.engine.change import Action, Change, Origin, Result, Status
from graphkit.reports import html
from graphkit.reports.html import write_html

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"


def facts(text="x", **how):
    return {
        "run": text, "recipe": text, "status": text, "blocked": [text], "warnings": [text],
        "tenant": {"id": text, "name": text, "domain": text},
        "kinds": {text: {"update": 1}},
        "cost": [{"bucket": text, "requests": 5, "seconds": 90.0}],
        **how,
    }  # fmt: skip


def line(text="x", action=Action.UPDATE, status=Status.FAILED):
    change = Change(
        kind=text, key=text, action=action, before={text: text}, after={text: f"{text}2"}, note=text,
        origin=Origin(text, text),
    )  # fmt: skip
    return change, Result(status=status, object_id=text, code=text, error=text, request_id=text)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.seen = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def write(tmp_path, given, lines):
    path = tmp_path / "page.html"
    write_html(path, given, iter(lines))
    return path.read_text(encoding="utf-8")


def test_markup_in_any_field_stays_text(tmp_path):
    page = write(tmp_path, facts(EVIL, outcomes={EVIL: 1}), [line(EVIL)])
    tags = Tags(page).seen
    assert {tag for tag, _ in tags} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "br", "strong", "span", "table", "tr",
        "th", "td",
    }  # fmt: skip
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert page.count("&lt;script&gt;") >= 20
    assert "{{ 7*7 }}" in page


def test_the_page_fetches_nothing_and_runs_nothing(tmp_path):
    page = write(tmp_path, facts(), [line()])
    assert not re.search(r"(?i)<script|<link|src=|url\(|@import|https?:", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    style = re.search(r"<style>(.*)</style>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "unsafe" not in policy


def test_a_plan_that_was_not_applied_has_no_outcomes(tmp_path):
    change, _ = line("key-1")
    page = write(tmp_path, facts(), [(change, None)])
    assert "Outcomes" not in page
    assert "key-1: &#34;key-1&#34; &rarr; &#34;key-12&#34;" in page


def test_what_did_not_end_well_is_told_in_the_words_of_the_service(tmp_path):
    page = write(tmp_path, facts(outcomes={"done": 1, "failed": 1}), [line("bad"), line("good", status=Status.DONE)])
    section = page.partition("What did not end well")[2].partition("<h2>")[0]
    assert "request-id bad" in section
    assert "good" not in section


def test_a_long_run_is_cut_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "LISTED", 3)
    noop = Change(kind="x", key="idle", action=Action.NOOP)
    page = write(tmp_path, facts(), [line(f"x{n}") for n in range(5)] + [(noop, None)] * 4)
    assert page.count("request-id") == 3
    assert "2 more; the results file lists all" in page
    many = write(tmp_path, facts(), [line("same") for _ in range(5)])
    assert "2 more are not listed" in many
    assert "4 as wished already" in page


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_only_its_owner_can_read_it_and_no_part_is_left_behind(tmp_path):
    write(tmp_path, facts(), [line()])
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_rows_that_were_left_out_are_counted(tmp_path):
    assert "left out as invalid: 1,200;" in write(tmp_path, facts(leftOut=1200), [])
    assert "left out" not in write(tmp_path, facts(leftOut=0), [])
