from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest

from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source
from graphkit.inputs.table import open_table
from graphkit.inputs.types import InputModel, Key, Org, TextList, Upn, UpnList


class Licence(InputModel):
    upn: Upn
    sku: str
    disabled_plans: TextList = ()
    org: Org = "RX1"


class Team(InputModel):
    team_key: Key
    org: Org
    display_name: str
    visibility: Literal["Private", "Public"]
    owners: UpnList = ()


@pytest.fixture
def licence():
    return Licence


@pytest.fixture
def team():
    return Team


@pytest.fixture
def problems():
    return Problems()


@pytest.fixture
def source(tmp_path, problems):
    """Write a file and open it as an input."""

    def write(content: str | bytes, name: str = "in.csv"):
        path: Path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        opened = open_source(path, problems)
        assert opened is not None, problems.found
        return opened

    return write


@pytest.fixture
def table(source, problems):
    """Write a file and open it as a table for a model."""

    def opened(content: str | bytes, model: type[InputModel] = Licence, name: str = "in.csv"):
        return open_table(source(content, name), problems, model)

    return opened


@pytest.fixture
def told(problems, tmp_path):
    """What a person is told, without the folder."""

    def lines() -> list[str]:
        return [str(problem).removeprefix(f"{tmp_path}{os.sep}") for problem in problems.found]

    return lines
