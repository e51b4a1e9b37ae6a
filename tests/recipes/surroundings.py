"""Every recipe's starter file planned in one process: ``python surroundings.py TENANT`` prints what came of each.

Set in the environment are the hash seed, the locale and the time zone that the plans must not depend on.
"""

from __future__ import annotations

import contextlib
import io
import json
import locale
import shutil
import sys
from pathlib import Path

from graphkit.__main__ import main
from graphkit.recipe import all_recipes, template_of


def said(*arguments: str) -> tuple[int, str]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return code, (out.buffer.getvalue() or err.buffer.getvalue()).decode()


def planned(recipe, tenant: Path) -> tuple[int, str]:
    for file, content in template_of(recipe):
        Path(file).write_text(content, encoding="utf-8")
    state, run_file = Path(f"{recipe.name}.db"), f"{recipe.name}.run"
    shutil.copy(tenant, state)
    given = [part for file in (recipe.template, *recipe.given_with) for part in ("-i", file)]
    flags = ["-t", "simulated", "--state", str(state), "--virtual-time", "--confirm", "contoso.example"]
    flags += ["--allow-beta"] if "allow_beta" in recipe.options else []
    code, lines = said("plan", recipe.name, *given, "--out", run_file, "-o", "json", *flags)
    # A starter file may speak of teams that are not there: then the problems are compared.
    return code, lines if code == 5 else said("show", run_file, "-o", "jsonl")[1]


if __name__ == "__main__":
    # The program itself sets no locale; whoever embeds it may have.
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "")
    found = {recipe.name: planned(recipe, Path(sys.argv[1])) for recipe in all_recipes()}
    sys.stdout.buffer.write(json.dumps(found).encode())
