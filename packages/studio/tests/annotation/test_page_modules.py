"""Modules of the page: which imports which."""

import re
from pathlib import Path

import pytest

import aotlab_studio

PAGE = Path(aotlab_studio.__file__).with_name("page")


IMPORT = re.compile(r"^(?:import |\}).*'\./(\w+\.js)';$", re.MULTILINE)


@pytest.mark.parametrize("main", ["main.js", "batch.js"])
def test_no_module_imports_one_above_it(main):
    order: list[str] = []

    def visit(name: str, above: list[str]) -> None:
        assert name not in above, " imports ".join([*above, name])
        if name not in order:
            for imported in IMPORT.findall((PAGE / name).read_text()):
                visit(imported, [*above, name])
            order.append(name)

    visit(main, [])
    if main == "main.js":
        assert {*order, "batch.js"} == {path.name for path in PAGE.glob("*.js")}
