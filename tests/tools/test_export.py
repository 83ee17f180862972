"""The export tool."""

from types import SimpleNamespace

import pytest

from aotlab.configs.load import load_config
from aotlab.engine.export import graphs, verify
from aotlab.engine.export.verify import Agreement
from aotlab.tools.export import main

TINY = ["--config", "aott", "--size", "49x33", "model.stages.0.window=7"]


@pytest.mark.parametrize("difference", [0.0, float("nan")])
def test_differing_graphs_stop_export(tmp_path, capsys, monkeypatch, difference):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(
        graphs, "export_model", lambda *args, **settings: SimpleNamespace(config=load_config("aott"))
    )
    monkeypatch.setattr(
        verify, "verify_export", lambda *args, **settings: Agreement(difference, 0.5, 0.1, 0.1)
    )
    assert main([*TINY, "--output", str(tmp_path / "out"), "--verify"]) == (0 if difference == 0 else 1)
    captured = capsys.readouterr()
    assert ("expected at most 0.001" in captured.err) == (difference != 0)
    assert "up to 9 frames in long-term memory" in captured.out


def test_settings_are_shown_as_they_will_be(capsys):
    assert main([*TINY, "--print-config"]) == 0
    assert "policy: bounded_fifo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "--output: missing"),
        (["--output", "out", "--config", "aotl"], "add memory.policy=bounded_fifo memory.frames=4"),
        (["--output", "out", "--checkpoint", "none.safetensors"], "none.safetensors: no such checkpoint"),
        (
            ["--output", "out", "--provider", "foo"],
            "Invalid value for '--provider': 'foo' is not one of 'cpu', 'cuda'",
        ),
        (
            ["--output", "out", "--provider", "coreml", "--verify"],
            "provider coreml: not available in onnxruntime here",
        ),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    given = [] if "--checkpoint" in more else TINY
    assert main([*given, *more]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_missing_runtime_names_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "aotlab.utils.errors.find_spec", lambda name: None if name == "aotlab_runtime" else name
    )
    assert main([*TINY, "--output", str(tmp_path / "out"), "--verify"]) == 2
    assert capsys.readouterr().err.endswith(
        "aotlab_runtime must be installed for this; pip install ./runtime in a checkout\n"
    )
