"""The command ``graphkit``, also as ``python -m graphkit``."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    # These two are answered before anything else is imported: they are asked for often, and by scripts.
    if given == ["--version"]:
        from graphkit import __version__

        print(f"graphkit {__version__}")
        return 0
    if not given:
        from graphkit.settings import completion_asked

        if asked := completion_asked():  # a shell calls without arguments
            from graphkit.cli.completion import answer

            return answer(asked)
    if given in ([], ["-h"], ["--help"]):
        from graphkit.cli.usage import page

        print(page())
        return 0
    from graphkit.cli.app import run

    return run(given)


if __name__ == "__main__":
    sys.exit(main())
