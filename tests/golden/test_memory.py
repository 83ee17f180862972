"""Memory policies against the public implementations of RMem and ERMU: their decisions, and whole sequences with them.

Tolerance on logits 5e-4, the bound of the reference's README (other convolution kernels move them by 7e-6); attention
and foreground follow from logits and get the same. Those on relevance, redundancy and scores are the reference's own.
The policies' decisions are in the repository; whole sequences are external.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aotlab.configs.load import load_config
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import build_policy, compute_redundancy
from aotlab.engine.memory.relevance import FrameRelevance, compute_relevance
from aotlab.engine.recurrence import memorize_frame, segment_frame
from aotlab.networks.build import build_model
from aotlab.networks.weights.published_keys import convert_published
from aotlab_testing.frames import add_reference_frame
from tests.golden import synthetic
from tests.golden.references import (
    LOGITS,
    assert_close,
    golden_arrays,
    golden_table,
    list_maps,
    memory_model,
    planes,
    tokens,
)

CASES = {"ermu": "policy_cases", "rmem": "policy_cases_rmem"}
PRESETS = [f"r50_{family}_{policy}" for family in ("aotl", "deaotl") for policy in ("rmem", "ermu")]


def preset(policy: str, family: str) -> str:
    return f"r50_{family}l_{policy}"


def reference_name(preset_name: str) -> str:
    """The reference's file: policy before the model's name."""
    encoder, family, policy = preset_name.split("_")
    return f"{policy}_{encoder}_{family}"


def cases() -> list[tuple[str, dict]]:
    return [(policy, case) for policy, name in CASES.items() for case in golden_table(f"memory/{name}")["cases"]]


def draw_keys(inputs: dict) -> torch.Tensor:
    """The keys T×L×C of a case; RMem, which does not read them, ships without."""
    return torch.empty(0) if inputs["K"] is None else torch.from_numpy(inputs["K"])


def plain_relevance(attention: np.ndarray, foreground: np.ndarray) -> torch.Tensor:
    shares = torch.from_numpy(foreground).flatten() @ torch.from_numpy(attention)
    return torch.where(shares.sum() > 0, shares / shares.sum(), 0)


@pytest.fixture(scope="module")
def case_arrays() -> dict[str, dict[str, np.ndarray]]:
    return {policy: golden_arrays(f"memory/{name}") for policy, name in CASES.items()}


@pytest.mark.parametrize(
    ("policy", "case"), cases(), ids=lambda value: value if isinstance(value, str) else value["name"]
)
def test_evicted_frames_equal_reference(policy: str, case: dict, case_arrays: dict) -> None:
    arrays = case_arrays[policy]
    frames = case["former_mem_len"] + case["latter_mem_len"]
    memory = [f"memory.frames={frames}", f"memory.every={case['gap']}"]
    config = load_config(preset(policy, case["model"]), memory)
    chooser = build_policy(config.memory)
    kept = [0]
    for number, step in enumerate(case["steps"]):
        assert step["frame"] - kept[-1] >= chooser.every
        assert [*kept, step["frame"]] == step["indexes_before"]
        arrays_of_step = {key: arrays.get(f"{case['name']}/{number}/{key}") for key in ("A", "f", "K")}

        relevance = None
        if chooser.needs_relevance(len(kept)):
            shares = plain_relevance(arrays_of_step["A"], arrays_of_step["f"])
            assert len(shares) == len(kept)
            relevance = FrameRelevance(shares, draw_keys(arrays_of_step))
        decision = chooser.decide(kept, range(1, len(kept)), step["frame"], relevance)
        assert decision.store
        assert decision.evict == step["evicted_position"]
        if step.get("R") is not None and None not in step["R"]:
            assert_same_decision(chooser, kept, arrays_of_step, step)
        kept = [frame for place, frame in enumerate(kept) if place != decision.evict] + [step["frame"]]
        assert kept == step["indexes_after"]


def assert_same_decision(chooser, kept: list[int], inputs: dict, step: dict) -> None:
    running = np.array([chooser.running[frame] for frame in kept])
    np.testing.assert_allclose(running, step["R"], atol=1e-5)
    keys = draw_keys(inputs)
    if "d" in step:
        expected = np.array(step["d"])
        bound = 1e-3 * max(1, np.abs(expected).max())
        np.testing.assert_allclose(compute_redundancy(keys).numpy(), expected, atol=bound)
    scores = chooser.score(running, [chooser.updates[frame] for frame in kept], keys)
    np.testing.assert_allclose(scores, step["score"], atol=1e-3)


class Replay:
    """A reference's sequence, run freely on its own masks as the reference ran."""

    def __init__(self, name: str, *, fast: bool) -> None:
        self.arrays = golden_arrays(f"memory/{reference_name(name)}")
        self.meta = golden_table(f"memory/{reference_name(name)}")
        frames = self.meta["former_mem_len"] + self.meta["latter_mem_len"]
        config = load_config(name, [f"memory.frames={frames}", f"memory.every={self.meta['gap']}"])
        self.model = memory_model(name, reference_name(name), fast=fast)
        self.images = torch.from_numpy(synthetic.normalize(self.arrays["in_frames"]))
        self.bank = MemoryBank(build_policy(config.memory))
        self.size = self.arrays["in_masks"].shape[1:]
        self.insertions = {entry["frame"]: entry for entry in self.meta["insertions"]}

    def start(self) -> None:
        masks = planes(self.arrays["in_masks"][0])
        if "t00_id_emb" in self.arrays:
            assert_close(self.model.assign_identities(masks)[0].transpose(0, 1), self.arrays["t00_id_emb"])
        propagated = add_reference_frame(self.model, self.bank, self.model.encode(self.images[:1]), masks)
        self.check_inside(0, propagated)

    def step(self, number: int) -> None:
        features = self.model.encode(self.images[number : number + 1])
        before = self.bank.frames.copy()
        decoded = segment_frame(self.model, self.bank, features)
        propagated, logits = decoded.propagated, decoded.logits
        self.check_inside(number, propagated)
        self.check_logits(number, logits)
        if number in self.insertions:
            self.check_relevance(number, propagated, logits)
        full = F.interpolate(logits, self.size, mode="bilinear", align_corners=True)
        labels = full[0].argmax(0).numpy()
        assert (labels == self.arrays["masks"][number]).mean() >= 0.999
        masks = planes(self.arrays["masks"][number])
        self.bank.add(*memorize_frame(self.model, self.bank, decoded, masks))
        if number in self.insertions:
            assert [*before, number] == self.insertions[number]["indexes_before"]
            assert self.bank.frames == self.insertions[number]["indexes_after"]
        else:
            assert self.bank.frames == before

    def check_inside(self, number: int, propagated) -> None:
        if f"t{number:02}_prop0" not in self.arrays:
            return
        embeddings = list_maps(self.model, propagated)[-3:]  # AOT's begin with the blocks' input
        for place, embedding in enumerate(embeddings, start=3 - len(embeddings)):
            assert_close(tokens(embedding), self.arrays[f"t{number:02}_prop{place}"])

    def check_logits(self, number: int, logits: torch.Tensor) -> None:
        kept = self.arrays["logits4_frames"].tolist()
        if number in kept:
            reference = self.arrays["logits4"][kept.index(number)]
            assert_close(logits.view(reference.shape), reference)
        mean = logits[0].mean((1, 2)).numpy()
        np.testing.assert_allclose(mean, self.arrays["logits4_mean"][number - 1], atol=LOGITS)

    def check_relevance(self, number: int, propagated, logits: torch.Tensor) -> None:
        attention = self.arrays.get(f"A_{number:02}")
        if attention is None:
            return
        key = self.bank.read()[0][0].long.key
        found = compute_relevance(self.model, propagated, logits, key, len(self.bank))
        expected = plain_relevance(attention, self.arrays[f"f_{number:02}"])
        assert (found.shares - expected).abs().max() < LOGITS


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
@torch.inference_mode()
def test_restricted_memory_equals_reference(name: str, fast: bool) -> None:
    replay = Replay(name, fast=fast)
    replay.start()
    for number in range(1, len(replay.images)):
        replay.step(number)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_match_published_weights(name: str) -> None:
    published = golden_table(f"keys/{reference_name(name)}")
    with torch.device("meta"):
        model = build_model(load_config(name).model)
        weights = {key: torch.empty(shape) for key, (shape, _) in published.items()}
    shapes = {key: tensor.shape for key, tensor in convert_published(weights, model).items()}
    assert shapes == {key: tensor.shape for key, tensor in model.state_dict().items()}
