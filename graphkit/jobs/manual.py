"""The part of a recipe's page in the manual that is written from its own models, between two marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphkit.jobs.describing import Description, Writes
from graphkit.recipe import BASE_PERMISSIONS
from graphkit.reports.text import duration

BEGIN = "<!-- written from the recipe itself by tools/recipe_pages.py -->"
END = "<!-- end of what is written from the recipe -->"


def with_reference(page: str, found: Description) -> str:
    """The page with its generated part renewed; appended where it has none yet."""
    block = "\n".join([BEGIN, "", *_block(found), END])
    before, begun, rest = page.partition(BEGIN)
    if not begun:
        return f"{page.rstrip()}\n\n{block}\n"
    _, ended, after = rest.partition(END)
    if not ended:
        raise ValueError(f"{found.name}: the generated part of the page has no end")
    return f"{before}{block}{after}"


def _block(found: Description) -> Iterator[str]:
    yield "## Reference"
    yield ""
    for title, fields in found.inputs:
        yield f"Input, {title}:"
        yield ""
        needs = [["required" if each.required else _code(each.default)] for each in fields]
        rows = [[_code(each.path), each.kind, *need, each.meaning] for each, need in zip(fields, needs, strict=True)]
        yield from _table(["name", "holds", "default", "meaning"], rows)
    if found.writes:
        yield "Writes, with what a thousand take at the usual share of the quota:"
        yield ""
        yield from _table(
            ["kind", "its write", "changes a write", "quota bucket", "1,000 take", "undo"],
            [_written(writes) for writes in found.writes],
        )
    if found.options:
        yield f"Options, besides those of every recipe: {', '.join(map(_code, found.options))}"
        yield ""
    yield "Rails:"
    yield ""
    yield from (f"- {rail}" for rail in found.rails)
    yield ""
    asked = f"; only if the input asks for what needs them: {', '.join(found.if_asked)}" if found.if_asked else ""
    yield f"Permissions (application): {', '.join(found.permissions)}; to read: {', '.join(BASE_PERMISSIONS)}{asked}."
    yield ""


def _written(writes: Writes) -> list[str]:
    first, bucket = _code(writes.first), _code(writes.bucket)
    return [_code(writes.kind), first, str(writes.per_write), bucket, _time(writes), writes.undo]


def _time(writes: Writes) -> str:
    least, most = duration(writes.seconds_full), duration(writes.seconds_single)
    return least if least == most else f"{least} to {most}"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""
