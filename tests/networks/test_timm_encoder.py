"""Encoders of timm: shapes, frozen parts, weights, errors; one trains and is loaded again."""

import pytest
import torch
from timm import create_model

from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.build import load_encoder
from aotlab.engine.training.clip import ClipModule, ClipOptions
from aotlab.networks.build import build_model
from aotlab.networks.encoders import build_encoder, require_maps
from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint
from aotlab.utils.errors import InputError
from aotlab_testing.marks import slow
from aotlab_testing.mutations import raises_one_sentence
from aotlab_testing.small_model import (
    assert_same_weights,
    clip_batch,
    draw_normal,
    draw_stripes,
    draw_texture,
    run_tracker,
)


@pytest.mark.parametrize(
    "name", ["resnet10t", "convnext_atto", *slow("swin_tiny_patch4_window7_224", "efficientnet_b0")]
)
def test_maps_of_any_size_are_rounded_up(name):
    encoder = build_encoder(f"timm:{name}")
    for align_corners in (True, False):
        require_maps(encoder, align_corners=align_corners)
    counts = [sum(x.numel() for x in part.parameters()) for part in encoder.freezable_parts]
    assert sum(counts) == sum(x.numel() for x in encoder.parameters())
    assert all(counts)
    assert encoder.training


@torch.inference_mode()
def test_weights_from_a_file_give_the_maps_of_timm(tmp_path):
    torch.manual_seed(0)
    whole = create_model("resnet10t").eval()
    for buffer in whole.buffers():  # statistics that matter
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    torch.save(whole.state_dict(), tmp_path / "resnet10t.pth")
    encoder = build_encoder("timm:resnet10t").eval()
    load_encoder(encoder, str(tmp_path / "resnet10t.pth"), "timm:resnet10t")
    image = draw_normal(1, 3, 49, 65)
    expected = whole.forward_intermediates(image, indices=[1, 2, 3], intermediates_only=True)
    for found, other in zip(encoder(image), expected, strict=False):
        torch.testing.assert_close(found, other, rtol=0, atol=1e-5 * other.abs().max().item())


def test_norms_are_frozen():
    encoder = build_encoder("timm:resnet10t")
    before = {key: tensor.clone() for key, tensor in encoder.named_buffers()}
    assert before
    encoder.train()(draw_normal(1, 3, 33, 33))
    assert_same_weights(dict(encoder.named_buffers()), before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", r"model\.encoder timm:nope: Unknown model \(nope\); see timm\.list_models\(features_only=True\)$"),
        ("test_vit", r"timm:test_vit: has no maps at stride 4, 8, only at 16.*; choose one with strides 4, 8 and 16$"),
    ],
)
def test_model_without_these_maps_rejected(name, message):
    with raises_one_sentence(message):
        build_encoder(f"timm:{name}")


def test_weights_that_cannot_be_loaded_are_one_sentence(tmp_path, monkeypatch):
    def fail(*_, **options):
        raise OSError("no connection")

    encoder = build_encoder("timm:resnet10t")
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    remedy = "give a file of timm:resnet10t weights, or null$"
    for source, problem in (
        ("torchvision", "torchvision has no weights"),
        (str(tmp_path / "other.pth"), "not readable"),
    ):
        with raises_one_sentence(f"^train.encoder_weights={source}: {problem}.*; {remedy}"):
            load_encoder(encoder, source, "timm:resnet10t")
    monkeypatch.setattr("aotlab.networks.timm_encoder.create_model", fail)
    with raises_one_sentence(rf"^train.encoder_weights=timm: not readable \(no connection\); {remedy}"):
        load_encoder(encoder, "timm", "timm:resnet10t")
    with pytest.raises(InputError, match="=timm: timm has no weights of this encoder; give a file of resnet50 weights"):
        load_encoder(build_encoder("resnet50"), "timm", "resnet50")


def test_model_with_timm_encoder_trains_tracks_and_loads(tmp_path):
    small = ["model.dim=32", "model.stages.0.window=7", "model.stages.0.feedforward=64"]
    config = load_config("aott", ["model.encoder=timm:resnet10t", *small])
    model = build_model(config.model).train()
    frames, mask = draw_texture(3), draw_stripes([1, 2])
    options = ClipOptions(torch.arange(11)[None], mask.size, use_predictions=False)
    loss, _ = ClipModule(model, config.memory)(clip_batch(frames, [mask] * 3, 2), options)
    loss.backward()
    assert all(weight.grad is not None for weight in model.encoder.parameters())
    save_checkpoint(tmp_path / "model.safetensors", model, config)
    loaded, settings = load_checkpoint(tmp_path / "model.safetensors")
    assert settings == config
    expected, found = (run_tracker(Tracker(other, config), frames, {0: mask}) for other in (model.eval(), loaded))
    assert torch.equal(found[-1].logits, expected[-1].logits)
