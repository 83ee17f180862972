"""Training of prompts: samples, simulated prompts, steps, states, and weights that stay."""

import importlib
import logging
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aotlab.configs.files import BUNDLED_CHECKPOINT, BUNDLED_PROMPTS
from aotlab.configs.load import load_config
from aotlab.engine.training.model_card import load_card
from aotlab.media.masks import write_mask
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.prompting.weights import load_prompt_network
from aotlab.utils.errors import InputError
from aotlab_testing.small_model import assert_same_weights, tiny_settings
from research.bundled.clicks import jaccard
from research.bundled.prompt_samples import (
    Sample,
    add_bars,
    compose_images,
    draw_sample,
    list_images,
    pick_object,
    split_labels,
)
from research.bundled.prompt_settings import PromptSource, PromptTraining, load_prompt_training
from research.bundled.simulated_prompts import add_correction, distort_mask, draw_first_prompt
from research.bundled.touching_clips import is_held_out
from research.bundled.train_prompts import PromptTrainer, draw_batch, main, prompt_loss

TRAINING = PromptTraining(
    sources=[PromptSource(path="static", folder="squares")], steps=3, batch=2, size=49, blocks=1, encoder_from=1
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for index in range(6):
        labels = np.zeros((60, 80), np.uint8)
        labels[10:40, 10 + index : 40 + index] = 1
        labels[20:50, 50:75] = 2
        image = rng.integers(0, 60, (60, 80, 3), dtype=np.uint8) + 80 * labels[..., None]
        path = root / "static" / "JPEGImages" / "squares" / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        write_mask(root / "static" / "Annotations" / "squares" / f"{index}.png", labels)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    config = load_config("aott", tiny_settings("aott"))
    path = tmp_path_factory.mktemp("weights") / "aott.safetensors"
    save_checkpoint(path, build_model(config.model), config, half=True)
    return path


def test_held_out_images_are_not_trained_on(data):
    kept, held_out = (list_images(data, TRAINING.sources, held_out=each) for each in (False, True))
    assert len(kept) + len(held_out) == 6
    assert not any(is_held_out(each.image) for each in kept)
    for source, words in (
        (PromptSource(path="static", folder="circles"), "no masks of circles"),
        (PromptSource(path="clips", videos="missing.txt"), "missing"),
    ):
        with pytest.raises(InputError, match=words):
            list_images(data, [source])
    assert len(load_prompt_training().sources) == 12


def test_sample_is_a_function_of_its_seed(data):
    images = list_images(data, TRAINING.sources)
    probabilities = np.full(len(images), 1 / len(images))
    first, second = (draw_sample(images, probabilities, 65, np.random.default_rng(3)) for _ in range(2))
    assert first.image.shape == (65, 65, 3)
    assert (first.truth == 1).sum() >= 40
    assert not (first.others & (first.truth == 1)).any()
    assert (first.image == second.image).all()
    assert (draw_batch(images, TRAINING, 5).planes == draw_batch(images, TRAINING, 5).planes).all()


def test_touching_objects_are_joined_on_request():
    labels = np.zeros((40, 40), np.uint8)
    labels[:10], labels[10:20], labels[30:], labels[25] = 1, 2, 3, 255
    for seed in range(4):
        truth, others = split_labels(*pick_object(labels, np.random.default_rng(seed), together=1.0))
        assert ((truth == 1).sum(), others.sum()) in {(800, 400), (400, 800)}
        assert (truth[:20] == 1).all() != (truth[30:] == 1).all()
        assert (truth == 255).sum() == 40
    truth, others = split_labels(*pick_object(labels, np.random.default_rng(0), together=0.0))
    assert (truth == 1).sum() == 400
    assert others.sum() == 800
    assert pick_object(np.zeros((9, 9), np.uint8), np.random.default_rng(0), together=0.0) is None


def test_composed_images_show_objects_of_both(data):
    images = list_images(data, TRAINING.sources)
    labels = np.zeros((65, 65), np.uint8)
    labels[:20, :20] = 7
    frame, composed = compose_images(np.zeros((65, 65, 3), np.uint8), labels, images[0], np.random.default_rng(0))
    assert frame.shape == (65, 65, 3)
    assert len(np.unique(composed[composed > 0])) >= 2


def test_bars_hide_covered_pixels_only():
    rng = np.random.default_rng(0)
    truth = np.zeros((80, 80), np.uint8)
    truth[20:60, 20:60] = 1
    sample = Sample(np.full((80, 80, 3), 255, np.uint8), truth, np.zeros((80, 80), bool))
    hidden = [add_bars(sample, rng) for _ in range(8)]
    assert any((each.truth != truth).any() for each in hidden)
    for each in hidden:
        assert (each.truth <= truth).all()
        assert (each.image[(each.image == 255).all(2) & (truth == 1)] == 255).all()
        assert not (each.truth[(each.image < 255).any(2)] == 1).any()


def test_simulated_prompts_lie_on_objects():
    truth = np.zeros((65, 65), np.uint8)
    truth[10:40, 10:40] = 1
    others = np.zeros(truth.shape, bool)
    others[45:60, 45:60] = True
    rng = np.random.default_rng(0)
    for _ in range(60):
        planes = draw_first_prompt(truth, others, rng)
        assert planes.min() >= 0
        assert planes.max() == pytest.approx(1, abs=0.6)
        assert planes.any()
    answer = np.zeros(truth.shape, np.float32)
    answer[10:40, 10:25] = 1
    planes = np.zeros((4, *truth.shape), np.float32)
    add_correction(planes, answer, truth, rng)
    assert planes[0][10:40, 25:40].any()
    assert not planes[1].any()


def test_rough_masks_resemble_the_mask():
    mask = np.zeros((65, 65), bool)
    mask[10:50, 10:50] = True
    scores = [
        jaccard(distort_mask(mask, np.random.default_rng(seed)) > 0.5, mask.astype(np.uint8)) for seed in range(20)
    ]
    assert 0.6 < np.mean(scores) < 0.98


def test_prompt_loss_ignores_void_pixels():
    truth = torch.zeros(1, 16, 16, dtype=torch.uint8)
    truth[:, :8], truth[:, 12:] = 1, 255
    good = torch.where(truth == 1, 8.0, -8.0)[:, None]
    assert prompt_loss(good, truth, 1.0)[0] < 0.01 < prompt_loss(-good, truth, 1.0)[0]
    changed = good.clone()
    changed[:, :, 12:] *= -1
    assert torch.equal(prompt_loss(changed, truth, 1.0)[0], prompt_loss(good, truth, 1.0)[0])


@pytest.mark.slow
def test_run_is_resumed_and_its_network_trained_further(data, checkpoint, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    whole = PromptTrainer(checkpoint, data, tmp_path, TRAINING.replace(steps=1))
    whole.run()
    resumed = PromptTrainer(checkpoint, data, tmp_path, TRAINING.replace(steps=2))
    assert resumed.step == 1
    path = resumed.run()
    assert resumed.step == 2
    trained = load_prompt_network(path)
    assert (trained.config.encoder, trained.config.blocks) == ("tiny", 1)
    assert not torch.equal(trained.identity_bank.weight, whole.network.identity_bank.weight)
    further = PromptTrainer(path, data, tmp_path / "further", TRAINING)
    assert_same_weights(further.network.state_dict(), trained.state_dict())
    assert [phase.steps for phase in further.earlier_phases] == [2]
    (tmp_path / "state.pt").write_bytes(b"damaged")
    with pytest.raises(InputError, match="not readable"):
        PromptTrainer(checkpoint, data, tmp_path, TRAINING)


def test_command_trains_by_a_recipe(data, checkpoint, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    settings = "steps: 1\nbatch: 1\nsize: 49\nblocks: 1\nencoder_from: 0\n"
    recipe.write_text(settings + "sources:\n  - {path: static, folder: squares}\n")
    places = {"data.root": data, "train.output": tmp_path / "out", "train.start_from": checkpoint}
    settings = [f"{key}={value}" for key, value in places.items()]
    assert main(["--config", str(recipe), *settings, "precision=bfloat16"]) == 0
    path = capsys.readouterr().out.strip()
    assert path.endswith("prompts.safetensors")
    phase = load_card(Path(path)).phases[-1]
    assert phase.precision == "bfloat16"
    program, config, *typed = shlex.split(phase.command)[2:]
    assert (program, config) == ("research.bundled.train_prompts", "--config")
    assert typed == [str(recipe), *settings, "precision=bfloat16"]


def test_bare_word_is_no_setting(capsys):
    assert main(["DATA"]) == 2
    assert "DATA: an override is written key=value" in capsys.readouterr().err


def test_commands_of_the_bundled_card_exist():
    for phase in [*load_card(BUNDLED_CHECKPOINT).phases, *load_card(BUNDLED_PROMPTS).phases]:
        program, *arguments = shlex.split(phase.command)
        if program == "aotlab":
            module = "aotlab.tools.main"
        else:
            assert program == "python"
            flag, module, *arguments = arguments
            assert flag == "-m"
        assert importlib.import_module(module).main([*arguments, "--print-config"]) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("step: 1", "step"),
        ("precision: float8", "precision float8: not one of float32"),
        ("steps: many", "steps"),
        ("batch: 0", "batch must be"),
    ],
)
def test_invalid_prompt_settings_rejected(line, message, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"{line}\n")
    with pytest.raises(InputError, match=message):
        load_prompt_training(recipe)
