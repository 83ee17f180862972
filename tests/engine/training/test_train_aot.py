"""The training script of the concept pages."""

import importlib.util
import sys

from aotlab import load_model
from aotlab.configs.files import ROOT
from aotlab_testing.files import SAMPLE

PATH = ROOT / "docs" / "concepts" / "train_aot.py"


def test_script_trains_both_phases(tmp_path, capsys, monkeypatch):
    script = importlib.util.module_from_spec(importlib.util.spec_from_file_location("train_aot", PATH))
    monkeypatch.setitem(sys.modules, "train_aot", script)
    script.__spec__.loader.exec_module(script)
    output = tmp_path / "aot.safetensors"
    script.main([str(SAMPLE), "--steps", "2", "--batch", "1", "--side", "65", "--output", str(output)])
    steps = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert steps == [f"{kind}, step {step} of 2" for kind in ("images", "videos") for step in (1, 2)]
    model, config = load_model(str(output))
    assert config.model == load_model("bundled")[1].model
    pairs = zip(model.parameters(), load_model("bundled")[0].parameters(), strict=True)
    assert any(not weight.equal(earlier) for weight, earlier in pairs)
