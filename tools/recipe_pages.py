"""Write the reference part of docs/recipes/*.md from the recipes themselves.

    python tools/recipe_pages.py

A page without that part gets it at its end; what stands around it is left alone. A test holds the pages to it.
"""

from __future__ import annotations

from pathlib import Path

from graphkit.jobs.describing import description_of
from graphkit.jobs.manual import with_reference
from graphkit.recipe import everything

PAGES = Path(__file__).parents[1] / "docs" / "recipes"


def main() -> None:
    for found in everything():
        path = PAGES / f"{found.name}.md"
        page = path.read_text(encoding="utf-8") if path.exists() else f"# {found.name}\n\n{found.summary}.\n"
        path.write_text(with_reference(page, description_of(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
