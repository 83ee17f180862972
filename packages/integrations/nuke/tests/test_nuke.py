"""The script with a stand-in for Nuke, which records nodes: files, frames and links, not what Nuke makes of them."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest


class Node(dict):
    """A node with knobs, made of those that it is asked for."""

    def __init__(self, kind, inputs=(), **knobs):
        super().__init__(knobs)
        self.kind, self.inputs = kind, inputs

    def __missing__(self, name):
        return SimpleNamespace(setValue=lambda value: self.__setitem__(name, value))

    def channels(self):
        return ["rgba.red", "rgba.alpha", "été_1.alpha", "object_2.alpha", "depth.Z", "object_9.alpha"]


@pytest.fixture
def made(monkeypatch):
    made = []

    class Nodes:
        def __getattr__(self, kind):
            return lambda **knobs: made.append(Node(kind, **knobs)) or made[-1]

    nuke = ModuleType("nuke")
    nuke.nodes = Nodes()
    monkeypatch.setitem(sys.modules, "nuke", nuke)
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    yield made
    sys.modules.pop("nuke_import", None)


def test_nodes_read_the_layers_of_objects(tmp_path, made):
    from nuke_import import import_results

    outputs = {"exr": ["exr/{frame}.exr"], "cryptomatte": ["cryptomatte/{frame}.exr"]}
    (tmp_path / "results.json").write_text(json.dumps({"outputs": outputs, "objects": [1, 2]}))
    (tmp_path / "frames.jsonl").write_text("".join(f'{{"name": "shot.{n:04d}"}}\n' for n in range(-1, 3)))
    found = import_results(tmp_path)
    assert {*found} == {"été_1", "object_2"}
    assert [node.kind for node in made] == ["Read", *["Copy", "Premult"] * 2, "Read", "Cryptomatte"]
    plate, copy = made[:2]
    assert (plate["file"], plate["first"], plate["last"]) == (f"{tmp_path.as_posix()}/exr/shot.%04d.exr", -1, 2)
    assert (copy["from0"], copy["to0"], copy.inputs) == ("été_1.alpha", "rgba.alpha", [plate, plate])
    assert made[-1].inputs == [made[-2]]
    assert made[-2]["raw"] is True


def test_results_without_exr_name_the_command(tmp_path, made):
    from nuke_import import import_results

    (tmp_path / "results.json").write_text('{"outputs": {"prores": ["alpha.mov"]}, "objects": [1]}')
    (tmp_path / "frames.jsonl").write_text('{"name": "1001"}\n')
    with pytest.raises(RuntimeError, match=r"no exr; run aotlab render .* --write exr,cryptomatte"):
        import_results(tmp_path)


@pytest.mark.parametrize(("frames", "words"), [
    (None, r"out: no results of aotlab \(.*No such file.*\); give the folder of a finished run"),
    ('{"name": "shot.1', r"out: no results of aotlab \(.*\); give the folder of a finished run"),
    ("", "out: no tracked frame; give the folder of a finished run"),
    ('{"name": "front"}\n', "out: frame front does not end in a number; rename the frames, and track them again"),
    ('{"name": "1001"}\n{"name": "back"}\n', "out: frame back does not end in a number"),
])  # fmt: skip
def test_folder_without_usable_frames_rejected(tmp_path, made, frames, words):
    from nuke_import import import_results

    if frames is not None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "results.json").write_text('{"outputs": {"exr": ["exr/{frame}.exr"]}, "objects": [1]}')
        (tmp_path / "out" / "frames.jsonl").write_text(frames)
    with pytest.raises(RuntimeError, match=words):
        import_results(tmp_path / "out")
    assert made == []
