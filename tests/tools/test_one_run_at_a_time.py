"""Locks of output folders: a second run names the first and changes nothing."""

import os

import pytest

from aotlab.export import export
from aotlab.tools.main import main
from aotlab.utils.locks import locked_output
from aotlab_testing import miniatures
from aotlab_testing.files import SAMPLE
from aotlab_testing.marks import slow
from tests.engine.training.tiny_recipes import draw_sets, phase, write_recipe

COMMANDS = {
    "train": ["train", "--config", "RECIPE"],
    "eval": ["eval", "--dataset", "davis2017", "--root", str(SAMPLE), "--output", "OUT"],
    "export": ["export", "--config", "aott", "--size", "49x33", "--output", "OUT"],
    "ensemble": ["ensemble", str(SAMPLE / "Annotations" / "480p"), "--output", "OUT", "--force"],
    "submit": ["submit", "--dataset", "sav", "--root", "SAV", "--results", "SAV", "--output", "OUT", "--force"],
    "convert-visor": ["convert-visor", "--annotations", "SAV", "--images", "SAV", "--output", "OUT"],
}


@pytest.mark.parametrize("name", ["eval", *slow(*(name for name in COMMANDS if name != "eval"))])
def test_second_run_on_one_output_is_rejected(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr(export, "build_graphs", None)
    out = tmp_path / "out"
    recipe = write_recipe(tmp_path, draw_sets(tmp_path / "data"), "out", phase(steps=1))
    miniatures.make_sav(tmp_path / "sav")
    words = {"SAV": str(tmp_path / "sav"), "OUT": str(out), "RECIPE": str(recipe)}
    with locked_output(out):
        assert main([words.get(word, word) for word in COMMANDS[name]]) == 2
        assert [path.name for path in out.glob("*")] == [".lock"]
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: {out}: in use by process {os.getpid()} on ")
