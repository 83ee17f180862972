"""``export.yaml`` with anything in any of its fields: a description, or one sentence."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import asdict
from random import Random

import pytest
import yaml

from aotlab.configs.load import load_config
from aotlab.engine.export.description import (
    FILE,
    Description,
    GraphDescription,
    exportable,
    graph_file,
    read_description,
    to_text,
)
from aotlab.utils.errors import InputError

VALUES = [
    None,
    "x",
    "",
    0,
    -1,
    2.5,
    True,
    10**30,
    float("nan"),
    float("inf"),
    [],
    [0],
    [[]],
    {},
    {"a": None},
    "../x",
]


@pytest.fixture
def export(tmp_path):
    """A folder with a description and empty files of its graphs."""
    graph = GraphDescription({"image": [1, 3, 64, 96]}, {"map": [1, 8, "4*frames"]}, {"other": "map"})
    config = load_config("aott", ["memory.policy=bounded_fifo", "memory.frames=2"])
    description = Description([64, 96], [65, 97], 1, 8, {"encode": graph, "decode": graph}, config)
    (tmp_path / FILE).write_text(to_text(description))
    for name in description.graphs:
        (tmp_path / graph_file(name)).write_bytes(b"")
    assert read_description(tmp_path) == description
    return tmp_path, asdict(description)


def fields(tree, path=()):
    """Paths of all parts of the description but the settings, which have tests of their own."""
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield (*path, key)
        if key != "config":
            yield from fields(tree[key], (*path, key))


@pytest.mark.parametrize("most", [15, pytest.param(10**6, marks=pytest.mark.slow)])
def test_any_field_may_be_anything_or_missing(export, most):
    folder, tree = export
    wrong = [(path, value) for path in fields(tree) for value in [*VALUES, "left out"]]
    for path, value in Random(0).sample(wrong, min(most, len(wrong))):
        changed = copy.deepcopy(tree)
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        if value == "left out":
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
        (folder / FILE).write_text(yaml.safe_dump(changed))
        with suppress(InputError):
            read = read_description(folder)
            assert set(read.graphs) <= {"encode", "decode"}


@pytest.mark.parametrize("name", ["../encode", "/encode", "..", "a/b", 5, ".hidden"])
def test_the_name_of_a_graph_does_not_lead_out_of_the_folder(export, name):
    folder, tree = export
    tree["graphs"][name] = tree["graphs"].pop("encode")
    (folder / FILE).write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError, match=r"plain name|lacks"):
        read_description(folder)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", "a: [", "format: !!python/object/apply:os.system [id]", "x: " + "[" * 5000, "a: 1\na: 2"],
)
def test_a_text_that_describes_nothing_is_refused(export, text):
    (export[0] / FILE).write_text(text)
    with pytest.raises(InputError):
        read_description(export[0])


def test_what_is_no_file_is_refused(export):
    folder = export[0]
    (folder / FILE).unlink()
    (folder / FILE).symlink_to(folder / FILE)
    with pytest.raises(InputError, match="not an export"):
        read_description(folder)


def test_graphs_compute_in_float32_whatever_the_machine_is_faster_in():
    config = load_config("aott", ["compute.precision=auto"])
    assert exportable(config).compute.precision == "float32"
