"""Differences that somebody has accepted: named, dated and owned, so that none is accepted for ever or by nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field

from graphkit.engine.change import Change
from graphkit.errors import InputErrors
from graphkit.inputs.document import read_document
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source
from graphkit.inputs.types import InputModel


class Acceptance(InputModel):
    """One entry. ``recipe``, ``kind``, ``key`` and ``action`` may hold ``*``; what is not given matches all."""

    recipe: str = Field(default="*", description="recipe that the difference shows in")
    kind: str = Field(default="*", description="kind of the object")
    key: str = Field(min_length=1, description="key of the object as drift prints it")
    action: str = Field(default="*", description="create, update, add, remove, delete or blocked")
    owner: str = Field(min_length=1, description="who answers for it: a team, not a person")
    reason: str = Field(min_length=1, description="why it may differ")
    until: date = Field(description="last day on which it counts")

    def covers(self, recipe: str, change: Change) -> bool:
        """Is this difference among those that the entry names? Case counts."""
        asked = (self.recipe, self.kind, self.key, self.action)
        given = (recipe, change.kind, change.key, change.action.value)
        return all(_fits(value, pattern) for value, pattern in zip(given, asked, strict=True))

    def __str__(self) -> str:
        return f"{self.key} ({self.owner}, until {self.until}: {self.reason})"


def _fits(value: str, pattern: str) -> bool:
    """Brackets and question marks are parts of names."""
    return fnmatchcase(value, re.sub(r"[\[?]", r"[\g<0>]", pattern))


class Acceptances(InputModel):
    """The whole file."""

    accept: list[Acceptance] = Field(min_length=1, description="the accepted differences")


def read_acceptances(path: Path) -> Sequence[Acceptance]:
    """The entries of a YAML or JSON file. Raises ``InputErrors`` with everything that is wrong with it."""
    problems = Problems()
    source = open_source(str(path), problems)
    document = read_document(source, Acceptances, problems) if source else None
    if document is None or problems.found:
        raise InputErrors(problems.found, hint="correct the file that --accept names")
    return document.accept
