"""Damaged and malicious checkpoints are rejected in one sentence, and nothing in them is executed."""

from __future__ import annotations

import contextlib
import pickle
import random
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from aotlab.configs.load import load_config
from aotlab.networks.build import build_model
from aotlab.networks.weights.checkpoints import load_checkpoint, read_settings, save_checkpoint
from aotlab.utils.errors import InputError
from tests.configs.test_load import BOMB
from tests.published import to_published

ADVICE = ("weights_only", "torch.load", "trust", "safe_globals", "pickle_module")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(load_config("aott").model).eval()


@pytest.fixture(scope="module")
def published(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("published") / "AOTT.pth"
    torch.save(to_published(model), path)
    return path


class Evil:
    """A pickle that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        load_checkpoint(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert not any(word in message for word in ADVICE), message
    return message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_that_are_not_finite_rejected(tmp_path, model, value, suffix):
    broken = build_model(model.config)
    broken.load_state_dict(model.state_dict())
    with torch.no_grad():
        broken.decoder.conv_out.bias[0] = value
    path = tmp_path / f"broken.{suffix}"
    if suffix == "pth":
        torch.save(to_published(broken), path)
    else:
        save_checkpoint(path, broken, load_config("aott"))
    message = refusal(path, config="aott")
    assert "weights that are not finite (decoder.conv_out.bias)" in message


METADATA = {
    "a word": "aott",
    "a tag": "name: !!python/object/apply:os.system [ls]",
    "a bomb": BOMB,
    "nesting": "a: " + "[" * 5000,
    "the environment": "name: ${oc.env:HOME}",
    "a wrong type": "model: 5",
    "an unknown block": "model: {stages: [{block: lstm}]}",
}


@pytest.mark.parametrize("kind", METADATA)
def test_invalid_stored_settings_rejected(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(1)}, path, metadata={"config": METADATA[kind]})
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=60) | st.text(alphabet="ab:[]{}&*!|>-#'\"\n ,$?.=0", max_size=60))
def test_any_metadata_is_settings_or_an_input_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    try:
        save_file({"weight": torch.zeros(1)}, path, metadata={"config": text})
    except UnicodeEncodeError:
        return
    with contextlib.suppress(InputError):
        read_settings(path)


def test_tensors_that_are_not_dense_rejected(tmp_path, model):
    tensors = [
        torch.eye(3).to_sparse(),
        torch.eye(3).to_sparse_csr(),
        torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3, device="meta"),
    ]
    for tensor in tensors:
        path = tmp_path / "odd.pth"
        torch.save({**to_published(model), "encoder.odd": tensor}, path)
        assert "expected a dict of dense real tensors" in refusal(path, config="aott")


def test_pickle_is_not_executed(tmp_path):
    made = tmp_path / "made"
    torch.save({"state_dict": {"weight": Evil(made)}}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil(made)))
    for name in ("evil.pth", "plain.pth"):
        message = refusal(tmp_path / name, config="aott")
        assert "could run any program" in message or "not a PyTorch checkpoint" in message
    assert not made.exists()


def test_truncated_and_scrambled_files_rejected(tmp_path, published):
    content, draw = published.read_bytes(), random.Random(0)
    path = tmp_path / "damaged.pth"
    for tenth in range(10):
        path.write_bytes(content[: len(content) * tenth // 10])
        refusal(path, config="aott")
    with zipfile.ZipFile(published) as source:
        members = {name: source.read(name) for name in source.namelist()}
    (data,) = (name for name in members if name.endswith("data.pkl"))
    for _ in range(60):
        scrambled = bytearray(members[data])
        for _ in range(draw.randint(1, 8)):
            scrambled[draw.randrange(len(scrambled))] = draw.randrange(256)
        with zipfile.ZipFile(path, "w") as target:
            for name, member in members.items():
                target.writestr(
                    name, bytes(scrambled) if name == data else member[:64] if "/data/" in name else member
                )
        refusal(path, config="aott")
    for start in (b"", b"\x80\x02", b"PK\x03\x04", b"\x00" * 100, b"hello"):
        path.write_bytes(start)
        refusal(path, config="aott")


def test_damaged_safetensors_rejected(tmp_path, model):
    whole, path = tmp_path / "whole.safetensors", tmp_path / "damaged.safetensors"
    save_checkpoint(whole, model, load_config("aott"))
    content = whole.read_bytes()
    for tenth in range(10):
        path.write_bytes(content[: len(content) * tenth // 10])
        refusal(path)
    for header in (b"\xff" * 8, (10**12).to_bytes(8, "little"), (2).to_bytes(8, "little") + b"{}"):
        path.write_bytes(header)
        refusal(path)


def test_files_without_matching_weights_rejected(tmp_path):
    for number, content in enumerate(
        ({"state_dict": {}}, {1: torch.ones(1)}, {"state_dict": {"a": torch.ones(2, 3)}})
    ):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path)
        assert "give the settings it was trained with" in refusal(path, config="aott")
