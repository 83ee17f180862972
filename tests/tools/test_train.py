"""The ``train`` command: settings, bad input, dry runs, and recipes with every model."""

import json
import os
import shutil
import signal

import pytest
from safetensors.torch import load_file

from aotlab.configs.files import ROOT
from aotlab.configs.load import load_config
from aotlab.dataloaders.training import phases
from aotlab.engine.training.build import resolve_training
from aotlab.tools.train import main
from aotlab_testing.files import TINY_ENCODER
from aotlab_testing.marks import needs_posix
from aotlab_testing.processes import WAIT_SECONDS, start_python, wait_until
from aotlab_testing.small_model import assert_same_weights, tiny_settings
from tests.engine.training.tiny_recipes import draw_sets

SMALL = tiny_settings("aott")
RECIPE = str(ROOT / "configs" / "recipes" / "mini.yaml")


def make_settings():
    """Settings for two phases of one step each on the drawn data."""
    phase = "steps: 1, batch: 1, clip_length: 3, crop: 65, short_edge: 64"
    static = f"{{name: static, {phase}, sources: [{{path: drawn, kind: static}}]}}"
    video = f"{{name: video, {phase}, sources: [{{path: drawn}}]}}"
    return [
        f"train.phases=[{static},{video}]",
        "data.validation=[{path: held}]",
        "data.workers=0",
        "train.encoder_weights=null",
        "train.precision=float32",
    ]


def write_data(folder):
    """A drawn video of three frames, and one for validation."""
    root = draw_sets(folder / "data")
    for kind in ("JPEGImages", "Annotations"):
        shutil.rmtree(root / "drawn" / kind / "two")
    return root


def test_settings_of_a_recipe_are_printed(capsys):
    assert main(["train.seed=7", "--config", RECIPE, "train.keep=2", "--print-config", "base=deaotl"]) == 0
    text = capsys.readouterr().out
    assert "seed: 7" in text
    assert "keep: 2" in text
    assert "method: deaot" in text


@pytest.mark.parametrize(("overrides", "sentence"), [
    (["train.sede=7"], "did you mean train.seed?"),
    (["train.seed=many"], "train.seed"),
    (["data.root=/nowhere"], "/nowhere: no such folder; expected data.root"),
    (["train.phases.0.sources=[{path: x, kind: davs}]"], "kind davs: not one of "),
    (["data.validation=[{path: drawn, kind: static}]"], "data.validation"),
    (["base=deaot"], "did you mean"),
])  # fmt: skip
def test_bad_settings_are_reported_in_one_sentence(overrides, sentence, tmp_path, run_expecting_error):
    output = f"train.output={tmp_path / 'out'}"
    good = [f"data.root={write_data(tmp_path)}", "data.validation=[]", *make_settings(), output]
    assert sentence in run_expecting_error(main, "--config", RECIPE, *good, *overrides)


@pytest.mark.slow
def test_validation_changes_only_the_log(tmp_path):
    root, logs, weights = write_data(tmp_path), [], []
    for every in (0, 1):
        output = tmp_path / f"every{every}"
        args = [*SMALL, f"train.output={output}", f"train.validate_every={every}", "train.phases.1.steps=3"]
        assert main(["--config", RECIPE, f"data.root={root}", *make_settings(), *args]) == 0
        lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
        logs.append([(line["phase"], line["step"]) for line in lines if "J&F" in line])
        weights.append(load_file(output / "video.safetensors"))
    assert logs[0] == [("static", 1), ("video", 3)]
    assert logs[1] == [("static", 1), ("video", 1), ("video", 2), ("video", 3)]
    assert_same_weights(weights[1], weights[0])


def test_dry_run_writes_nothing(tmp_path, capsys):
    output = tmp_path / "out"
    arguments = [f"data.root={write_data(tmp_path)}", f"train.output={output}", *make_settings(), *SMALL]
    assert main(["--config", RECIPE, "--dry-run", *arguments, "train.phases.0.steps=9000"]) == 0
    text, progress = capsys.readouterr()
    assert "static: making 8 clips, then 2 steps of 1 clip\nvideo: making 8 clips" in progress
    for words in ("0.15 M parameters", "static: 9000 steps of 1 clip,", "3 images", "video: 1 step of 1 clip",
                  "clips/s", "validation: 1 video, 3 frames", "B at most", "time: ", "minutes; loss"):  # fmt: skip
        assert words in text
    assert not output.exists()


def test_unreadable_file_stops_until_it_is_repaired(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(phases, "_require_objects", lambda _: None)
    root = write_data(tmp_path)
    path = root / "drawn" / "JPEGImages" / "one" / "00002.png"
    content = path.read_bytes()
    path.write_bytes(content[:300])
    settings = [f"data.root={root}", f"train.output={tmp_path / 'out'}", *make_settings(), *SMALL]
    settings += ["train.phases.0.steps=4", "train.run=[static]", "data.validation=[]", "train.log_every=1"]
    command = ["--config", RECIPE, *settings, "--log", "csv"]
    assert main(command) == 1
    reason = capsys.readouterr().err.splitlines()[-1]
    assert reason.startswith(f"stopped: {path}: not readable (")
    assert reason.endswith("the same command resumes from it")
    path.write_bytes(content)
    assert main(command) == 0
    assert len((tmp_path / "out" / "train.csv").read_text().splitlines()) == 5
    assert not (tmp_path / "out" / "tensorboard").exists()


BLOCK = """
import os, signal
from aotlab.sdk import AOT, AOTStage, LSTTBlock, Method

class Block(LSTTBlock):
    calls = 0
    def memorize(self, *args):
        Block.calls += 1
        if Block.calls == 1:
            {act}
        return super().memorize(*args)

class Model(AOT):
    def __init__(self, config):
        super().__init__(config, Block)

methods = {{"mine": Method(AOTStage, model=Model)}}
"""


def is_gone(group):
    """Return whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@needs_posix
@pytest.mark.slow
@pytest.mark.parametrize(("act", "code", "words"), [
    ("raise ValueError('my block')", 1, "ValueError: my block"),
    ("os.killpg(0, signal.SIGTERM)", 128 + signal.SIGTERM, "interrupted; the state after step 1"),
    ("os.killpg(0, signal.SIGINT)", 128 + signal.SIGINT, "interrupted; the state after step 1"),
])  # fmt: skip
def test_stopped_training_ends_with_all_its_workers(tmp_path, act, code, words):
    (tmp_path / "mine.py").write_text(BLOCK.format(act=act))
    plugins = [f"--plugin={TINY_ENCODER}", f"--plugin={tmp_path / 'mine.py'}"]
    settings = [*make_settings(), *SMALL, f"data.root={write_data(tmp_path)}", f"train.output={tmp_path / 'out'}"]
    settings += ["train.phases.0.steps=9", "data.workers=2", "model.method=mine"]
    with start_python("-m", "aotlab", "train", "--config", RECIPE, *plugins, *settings, start_new_session=True) as run:
        try:
            _, errors = run.communicate(timeout=WAIT_SECONDS)
        finally:
            run.kill()
    assert (run.returncode, words in errors) == (code, True), errors
    wait_until(lambda: is_gone(run.pid))


@pytest.mark.parametrize("recipe", ["davis", "finetune", "mini", "static", "vost", "ytvos", "ytvos_davis"])
@pytest.mark.parametrize(
    ("preset", "augmentation", "crop_remainder"),
    [("aott", "aot", 1), ("r50_deaotl", "deaot", 1), ("swinb_aotl", "aot", 0)],
)
def test_recipe_follows_the_method_and_encoder(recipe, preset, augmentation, crop_remainder):
    config = resolve_training(load_config(f"configs/recipes/{recipe}.yaml", [f"base={preset}"]))
    assert config.name == f"{preset}_{recipe}"
    assert config.train.output == f"outputs/{preset}_{recipe}"
    last = config.train.phases[-1]
    assert (last.augmentation, last.crop % 16) == (augmentation, crop_remainder)


@pytest.mark.parametrize("recipe", ["davis", "ytvos", "ytvos_davis"])
@pytest.mark.parametrize(("preset", "final_lr"), [("aott", 2e-5), ("r50_deaotl", 1e-5), ("swinb_aotl", 1e-5)])
def test_published_recipes_have_published_phases(recipe, preset, final_lr):
    found = resolve_training(load_config(f"configs/recipes/{recipe}.yaml", [f"base={preset}"])).train.phases
    assert [phase.name for phase in found] == ["static", "video"]
    assert found[-1].final_lr == final_lr
