"""Files of torch.export are looked into before PyTorch reads them: nothing in them is ever run."""

from __future__ import annotations

import json
import pickle
import zipfile

import pytest
import torch
from torch import nn

from aotlab.engine.export.archive import GRAPH, SAMPLE_INPUTS
from aotlab.engine.export.runtime import open_program
from aotlab.utils.errors import InputError

WEIGHTS = "data/weights/model_weights_config.json"


class Evil:
    """A pickle that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


class Layer(nn.Module):
    """Gives its result in a tuple, as the graphs of a model do."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, given):
        return (self.linear(given),)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "encode.pt2"
    length = torch.export.Dim("length", min=2, max=9)
    exported = torch.export.export(Layer().eval(), (torch.ones(4, 3),), dynamic_shapes={"given": {0: length}})
    torch.export.save(exported, path)
    return path


def rewritten(program, path, changes, *, compression=zipfile.ZIP_STORED):
    """A copy of a program in which members are replaced: name to bytes, or a function of the JSON there is."""
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(path, "w", compression) as target:
        folder = source.namelist()[0].split("/")[0]
        members = {name.split("/", 1)[1]: source.read(name) for name in source.namelist()}
        for name, change in changes.items():
            if callable(change):
                content = json.loads(members[name])
                change(content)
                change = json.dumps(content).encode()
            members[name] = change
        for name, content in members.items():
            target.writestr(f"{folder}/{name}", content)
    return path


def run(path):
    return open_program(path, ["given"], ["output"])({"given": torch.ones(4, 3)})["output"]


def test_a_program_runs_as_before_and_its_sample_inputs_are_never_read(program, tmp_path):
    made = tmp_path / "made"
    pickled = {SAMPLE_INPUTS: pickle.dumps(Evil(made))}
    expected = torch.export.load(program).module()(torch.ones(4, 3))[0]
    assert torch.equal(run(rewritten(program, tmp_path / "evil.pt2", pickled)), expected)
    assert not made.exists()


def node(program):
    return program["graph_module"]["graph"]["nodes"][0]


def with_size(text):
    def change(program):
        sizes = program["graph_module"]["graph"]["sym_int_values"]
        sizes["s0"] = {"as_expr": {"expr_str": text, "hint": {"as_int": 4}}}

    return change


CALL = "__import__('os').system('touch made')"
CHANGES = {
    "a pickled weight": (
        {
            WEIGHTS: lambda config: next(iter(config["config"].values())).update(use_pickle=True),
        },
        "as a pickled object",
    ),
    "a weight in another file": (
        {WEIGHTS: lambda config: next(iter(config["config"].values())).update(path_name="../evil")},
        "as a pickled object",
    ),
    "an object": ({"data/constants/custom_obj_0": b"evil"}, "holds data/constants/custom_obj_0"),
    "compiled code": ({"data/aotinductor/model/a.so": b"evil"}, "holds data/aotinductor/model/a.so"),
    "a call of the system": (
        {GRAPH: lambda program: node(program).update(target="torch.os.system")},
        "calls torch.os.system",
    ),
    "an operator that opens files": (
        {GRAPH: lambda program: node(program).update(target="torch.ops.aten.from_file.default")},
        "calls torch.ops.aten.from_file",
    ),
    "a size that is code": ({GRAPH: with_size(CALL)}, "holds the text"),
    "a size that is an attribute": ({GRAPH: with_size("s0.__class__")}, "holds the text"),
    "a name that is code": (
        {GRAPH: lambda program: node(program).update(name=f"x\n{CALL}")},
        "holds the text",
    ),
    "another container": (
        {
            GRAPH: lambda program: program["graph_module"]["module_call_graph"][0]["signature"].update(
                in_spec='[1, {"type": "os.system", "context": "null", "children_spec": []}]'
            )
        },
        "the container os.system",
    ),
    "another weight file": ({"data/weights/weight_0.pt": b"evil"}, "holds data/weights/weight_0.pt"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_the_export_does_not_write_is_refused_and_never_run(program, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    changes, words = CHANGES[kind]
    path = rewritten(program, tmp_path / "evil.pt2", changes)
    with pytest.raises(InputError, match=words) as caught:
        run(path)
    assert "which is never run; export again" in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["evil.pt2"]


def test_python_source_of_guards_is_not_run(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = rewritten(program, tmp_path / "evil.pt2", {GRAPH: lambda p: p.update(guards_code=[CALL])})
    assert run(path).shape == (4, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["evil.pt2"]


def test_compressed_members_are_refused_before_they_are_read(program, tmp_path):
    bomb = {"data/weights/weight_0": bytes(10**6)}
    path = rewritten(program, tmp_path / "bomb.pt2", bomb, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed members"):
        run(path)


def test_the_old_format_whose_weights_are_pickles_is_refused(tmp_path):
    made = tmp_path / "made"
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        archive.writestr("version", "8.8")
        for name in ("exported_program.json", "state_dict.pt", "constants.pt", "example_inputs.pt"):
            archive.writestr(f"serialized_{name}", pickle.dumps(Evil(made)))
    with pytest.raises(InputError, match="never run"):
        run(tmp_path / "old.pt2")
    assert not made.exists()


def test_damaged_programs_are_refused_in_a_sentence(program, tmp_path):
    content, path = program.read_bytes(), tmp_path / "damaged.pt2"
    for tenth in range(10):
        path.write_bytes(content[: len(content) * tenth // 10])
        with pytest.raises(InputError, match=r"damaged\.pt2: "):
            run(path)
    for change in (b"{}", b"[]", b"null", b"\xff", b"{", b'{"graph_module": 5}'):
        with pytest.raises(InputError, match=r"damaged\.pt2: "):
            run(rewritten(program, path, {GRAPH: change}))
