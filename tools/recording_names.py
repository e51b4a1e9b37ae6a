"""Generate ``graphkit/recording/names.txt``: what a cassette may hold in clear, for it is Microsoft's and not the
tenant's.

    python tools/recording_names.py ../shared/data/metadata/v1.0-Prod.csdl.gz --date 2026-08-20

From the metadata (``schemas/v1.0-Prod.csdl`` of microsoftgraph/msgraph-metadata, gzipped or not): the names that can
stand in an address, the properties whose values are members of an enumeration, and those whose values are times. From
the simulated tenant's own tables: further addresses (beta's among them), the words of the service's messages, and the
ids and names of products, service plans, directory roles and Microsoft's own applications, which are the same
everywhere.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from graphkit.sandbox.areas import ROUTES
from graphkit.sandbox.seeding.seed import APPLICATIONS, ROLES
from graphkit.sandbox.seeding.skus import PLANS, PRODUCTS

ROOT = Path(__file__).resolve().parents[1] / "graphkit"
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
TIMES = ("Edm.DateTimeOffset", "Edm.Date", "Edm.Duration", "Edm.TimeOfDay")
_WORD = re.compile(r"[a-z]+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csdl", type=Path)
    parser.add_argument("--date", required=True, help="of the metadata, for the head of the file")
    given = parser.parse_args()
    document = given.csdl.read_bytes()
    tree = ElementTree.fromstring(gzip.decompress(document) if document[:2] == b"\x1f\x8b" else document)
    sections = {**_of_metadata(tree), **_of_tables()}
    sections["path"] |= _of_routes()
    lines = [f"# tools/recording_names.py made this from microsoftgraph/msgraph-metadata of {given.date} (MIT)"]
    for name in ("path", "enum", "time", "message", "word", "guid"):
        lines += [f"[{name}]", *_filled(sorted(sections[name]))]
    (ROOT / "recording" / "names.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _of_metadata(tree: ElementTree.Element) -> dict[str, set[str]]:
    enums = {each.attrib["Name"] for each in tree.iter(f"{EDM}EnumType")}
    kinds: dict[str, set[str]] = {"enum": set(), "time": set(), "other": set()}
    for each in tree.iter(f"{EDM}Property"):
        kind = each.attrib["Type"].removeprefix("Collection(").removesuffix(")")
        own = kind.rpartition(".")[2] in enums and not kind.startswith("Edm.")
        kinds["enum" if own else "time" if kind in TIMES else "other"].add(each.attrib["Name"])
    named = ("NavigationProperty", "EntitySet", "Singleton", "Action", "Function")
    path = {each.attrib["Name"] for tag in named for each in tree.iter(f"{EDM}{tag}")}
    # A name that is an enumeration here and text there may hold anything.
    return {"path": path, "enum": kinds["enum"] - kinds["other"], "time": kinds["time"] - kinds["other"]}


def _of_routes() -> set[str]:
    segments = {segment for route in ROUTES for segment in route.template.split("/")}
    return {name for segment in segments if (name := segment.partition("(")[0]) and name[0] not in "{$"}


def _of_tables() -> dict[str, set[str]]:
    guids = {each.id for each in (*PRODUCTS.values(), *PLANS.values())} | {*ROLES.values(), *APPLICATIONS}
    return {"word": {*PRODUCTS, *PLANS}, "guid": guids, "message": set(_message_words())}


def _message_words() -> Iterator[str]:
    """Of every text with a blank in it that the simulated tenant may answer with."""
    for module in (ROOT / "sandbox").rglob("*.py"):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        prose = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
        for each in ast.walk(tree):
            text = each.value if isinstance(each, ast.Constant) and id(each) not in prose else ""
            if isinstance(text, str) and " " in text and "\n" not in text:
                yield from _WORD.findall(text.lower())


def _filled(words: list[str], width: int = 118) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = ""
        line = f"{line} {word}".lstrip()
    yield line


if __name__ == "__main__":
    main()
