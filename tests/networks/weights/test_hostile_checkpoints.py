"""Damaged and malicious checkpoints are rejected in one sentence, and nothing in them is executed."""

import pickle
import re

import pytest
import torch
from safetensors.torch import save_file

from aotlab.configs.load import load_config
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint
from aotlab_testing.mutations import BOMB, raises_one_sentence
from aotlab_testing.small_model import tiny_settings, to_published

TINY = tiny_settings("aott")
ADVICE = ("weights_only", "torch.load", "trust", "safe_globals", "pickle_module")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(load_config("aott", TINY).model).eval()


class Evil:
    """A pickle that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def read_refusal(path):
    with raises_one_sentence() as caught:
        load_checkpoint(path, config="aott", overrides=TINY)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert not any(word in message for word in ADVICE), message
    return message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_rejected(tmp_path, model, value):
    broken = build_model(model.config)
    broken.load_state_dict(model.state_dict())
    with torch.no_grad():
        broken.decoder.conv_out.bias[0] = value
    torch.save(to_published(broken), tmp_path / "published.pth")
    save_checkpoint(tmp_path / "own.safetensors", broken, load_config("aott", TINY))
    for path in tmp_path.iterdir():
        assert "weights that are not finite real numbers (decoder.conv_out.bias)" in read_refusal(path)


@pytest.mark.parametrize("text", [BOMB, "name: !!python/object/apply:os.system [ls]", "model: 5"])
def test_invalid_stored_settings_rejected(tmp_path, text):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(1)}, path, metadata={"config": text})
    with raises_one_sentence():
        load_checkpoint(path)


def test_tensors_of_other_kinds_rejected(tmp_path, model):
    weights = to_published(model)
    key = next(key for key, tensor in weights.items() if tensor.ndim == 2)
    ones = torch.ones(weights[key].shape)
    tensors = [
        ones.to_sparse(),
        ones.to_sparse_csr(),
        torch.quantize_per_tensor(ones, 0.1, 0, torch.quint8),
        ones.to(torch.complex64),
        ones.to("meta"),
    ]
    path, expected = tmp_path / "odd.pth", re.compile("does not fit aott|not finite real numbers")
    for tensor in tensors:
        torch.save({**weights, key: tensor}, path)
        assert expected.search(read_refusal(path))


def test_pickle_is_not_executed(tmp_path):
    trace = tmp_path / "made"
    torch.save({"state_dict": {"weight": Evil(trace)}}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil(trace)))
    for name in ("evil.pth", "plain.pth"):
        message = read_refusal(tmp_path / name)
        assert "contains pickled code" in message
    assert not trace.exists()


@pytest.mark.parametrize("content", [
    b"", b"\x80\x02", b"PK\x03\x04", b"\x00" * 100, b"hello", b"\xff" * 8, (10**12).to_bytes(8, "little"),
    (2).to_bytes(8, "little") + b"{}",
])  # fmt: skip
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_files_of_other_content_rejected(tmp_path, suffix, content):
    (tmp_path / f"damaged.{suffix}").write_bytes(content)
    read_refusal(tmp_path / f"damaged.{suffix}")


@pytest.mark.parametrize(("content", "words"), [
    ({"state_dict": {}}, "its keys fit no preset"),
    ({1: torch.ones(1)}, "its keys fit no preset"),
    ({"state_dict": {"a": torch.ones(2, 3)}}, "its keys fit no preset"),
    *((content, "not a dict of tensors") for content in ([1, 2], {"epoch": 3}, {"state_dict": {"a": 1}}, "text")),
], ids=str)  # fmt: skip
def test_files_without_matching_weights_rejected(tmp_path, content, words):
    torch.save(content, tmp_path / "other.pth")
    assert words in read_refusal(tmp_path / "other.pth")
