"""``export.yaml`` with anything in any of its fields: a description, or one sentence."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from random import Random

import pytest
import yaml

from aotlab.configs.load import load_config
from aotlab.engine.export.description import (
    EXPORT,
    FILE,
    Description,
    GraphDescription,
    exportable,
    graph_file,
    read_description,
    to_text,
)
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import SEAL, wrap
from tests.altered import altered


@pytest.fixture
def export(tmp_path):
    """A folder with a description and empty files of its graphs."""
    sha256_of_nothing = hashlib.sha256(b"").hexdigest()
    graph = GraphDescription(
        {"image": [1, 3, 64, 96]}, {"map": [1, 8, "4*frames"]}, {"other": "map"}, sha256_of_nothing
    )
    config = load_config("aott", ["memory.policy=bounded_fifo", "memory.frames=2"])
    description = Description([64, 96], [65, 97], 1, 8, {"encode": graph, "decode": graph}, config)
    (tmp_path / FILE).write_text(to_text(description))
    for name in description.graphs:
        (tmp_path / graph_file(name)).write_bytes(b"")
    assert read_description(tmp_path) == description
    return tmp_path, yaml.safe_load(to_text(description))


def test_any_field_may_be_anything_or_missing(export):
    folder, tree = export
    random = Random(0)
    for _ in range(60):
        changed = altered(tree, random)
        (folder / FILE).write_text(yaml.safe_dump(changed))
        with suppress(InputError):
            read_description(folder)
            assert changed == tree


def test_a_swapped_graph_is_refused(export):
    folder = export[0]
    (folder / "encode.onnx").write_bytes(b"another")
    with pytest.raises(InputError, match=r"encode.onnx: missing, or not the graph that was exported"):
        read_description(folder)


@pytest.mark.parametrize("name", ["../encode", "/encode", "..", "a/b", ".hidden"])
def test_the_name_of_a_graph_does_not_lead_out_of_the_folder(export, name):
    folder, tree = export
    tree["graphs"][name] = tree["graphs"].pop("encode")
    content = {name: value for name, value in tree.items() if name not in SEAL}
    (folder / FILE).write_text(yaml.safe_dump(wrap(EXPORT, content)))
    with pytest.raises(InputError, match="not a usable export"):
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
