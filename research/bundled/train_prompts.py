"""Training of the prompt network.

``python -m research.bundled.train_prompts data.root=DATA train.output=FOLDER``; started again, it resumes.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, NonNegativeInt
from torch import Tensor, nn

from aotlab.configs.files import BUNDLED_PROMPTS
from aotlab.configs.load import to_yaml
from aotlab.configs.methods import AOTStage
from aotlab.configs.schema import ModelConfig
from aotlab.engine.training.model_card import ModelCard, PhaseRecord, load_card
from aotlab.media.masks import VOID
from aotlab.networks.fast.optimize import resolve_precision
from aotlab.networks.preprocess import normalize
from aotlab.networks.weights.checkpoints import load_checkpoint
from aotlab.networks.weights.zoo import resolve_checkpoint
from aotlab.prompting.config import PromptConfig
from aotlab.prompting.prompt_network import PromptNetwork
from aotlab.prompting.weights import is_prompt_network, load_prompt_network, save_prompt_network
from aotlab.tools.cli.command import command
from aotlab.tools.cli.options import print_config, settings
from aotlab.tools.cli.types import option
from aotlab.utils.devices import autocast
from aotlab.utils.files import atomic_path, reading, require_writable
from aotlab.utils.signals import stop_flag
from aotlab.utils.versioned_files import load_pickle
from research.bundled.prompt_samples import AnnotatedImage, draw_sample, list_images
from research.bundled.prompt_settings import DEFAULT_RECIPE, PromptTraining, load_prompt_training
from research.bundled.simulated_prompts import MASK, add_correction, draw_first_prompt

log = logging.getLogger(__name__)

CPU = torch.device("cpu")
SAVE_EVERY = 180.0
"""Interval between saved states in seconds."""
DEFAULT_PATHS = {"data.root": "datasets", "train.output": "outputs/prompts", "train.start_from": str(BUNDLED_PROMPTS)}
"""Paths that are set as in ``aotlab train``, with their defaults."""
LOG_EVERY = 25
"""Interval between log lines in steps."""
HARDEST_SHARE = 0.2
"""Final fraction of pixels in the cross-entropy."""
CLICK_PROBABILITY = 0.75
"""Probability of a click in a later round; without one the network refines its mask, as in its refining pass."""
LATER_ROUND_WEIGHT = 0.7
"""Weight of the loss after corrections."""
MAX_GRADIENT_NORM = 2.0


class OptimizerState(BaseModel):
    """State of an optimizer of PyTorch."""

    state: dict[int, Any]
    param_groups: list[dict[str, Any]]


class SavedRun(BaseModel):
    """State that a later run resumes from."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    step: NonNegativeInt
    seconds: float
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: OptimizerState


@dataclass(frozen=True)
class Batch:
    """A batch of samples."""

    images: Tensor
    """B×3×H×W, normalized."""
    truth: Tensor
    """B×H×W uint8: 1 on the object, 0 on background, 255 where pixels do not count."""
    planes: np.ndarray
    """B×4×H×W float32, the first prompts."""


def draw_batch(images: Sequence[AnnotatedImage], training: PromptTraining, step: int) -> Batch:
    """Draw the samples of a step, which depend on the seed and the step only."""
    rng = np.random.default_rng([training.seed, step])
    weights = np.array([image.weight for image in images])
    samples = [draw_sample(images, weights / weights.sum(), training.size, rng) for _ in range(training.batch)]
    pixels = torch.from_numpy(np.stack([sample.image for sample in samples])).permute(0, 3, 1, 2) / 255
    truth = torch.from_numpy(np.stack([sample.truth for sample in samples]))
    planes = np.stack([draw_first_prompt(sample.truth, sample.others, rng) for sample in samples])
    return Batch(normalize(pixels.contiguous(memory_format=torch.channels_last)), truth, planes)


def prompt_loss(logits: Tensor, truth: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return 0.6 times the cross-entropy of the hardest pixels plus the soft Jaccard loss of the object.

    Args:
        logits: B×1×h×w.
        truth: B×H×W of 0, 1 and 255.
        share: fraction of the pixels, the hardest ones, that the cross-entropy averages.

    Returns:
        The loss, a scalar, and the logits B×H×W.
    """
    size = (truth.shape[1], truth.shape[2])
    full = F.interpolate(logits.float(), size, mode="bilinear", align_corners=True)[:, 0]
    counted, target = (truth != VOID).float(), (truth == 1).float()
    entropy = F.binary_cross_entropy_with_logits(full, target, reduction="none") * counted
    hardest = entropy.flatten(1).topk(int(entropy[0].numel() * share), 1, sorted=False).values.mean(1)
    probability = full.sigmoid() * counted
    shared = (probability * target).sum((1, 2))
    union = probability.sum((1, 2)) + target.sum((1, 2)) - shared
    return (0.6 * hardest + 1 - (shared + 1) / (union + 1)).mean(), full.detach()


def learning_rate_factor(training: PromptTraining, step: int, *, start: int = 0, warmup: int = 100) -> float:
    """Return the factor of the learning rate: a linear rise from ``start``, a constant, then a linear fall to 2 %."""
    left = (training.steps - step) / max(1, training.decay * training.steps)
    return min(1.0, (step - start + 1) / warmup) * min(1.0, max(0.02, left))


class PromptTrainer:
    """Trains a prompt network.

    Args:
        checkpoint: prompt network to train further, or tracking model whose weights a new one starts from.
        data: folder of the sources.
        output: folder of state, log and weights; a state there is resumed.
        command: command line, for the model card.
    """

    def __init__(
        self, checkpoint: Path, data: Path, output: Path, training: PromptTraining, *, command: str = ""
    ) -> None:
        torch.manual_seed(training.seed)
        self.earlier_phases: list[PhaseRecord] = []
        if is_prompt_network(checkpoint):
            network, card = load_prompt_network(checkpoint), load_card(checkpoint)
            self.earlier_phases += card.phases if card else []
        else:
            network = build_prompt_network(load_checkpoint(checkpoint)[0], training.blocks)
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.checkpoint, self.output, self.training, self.command = checkpoint, output, training, command
        self.images = list_images(data, training.sources)
        self.optimizer = torch.optim.AdamW(_build_parameter_groups(network, training), betas=(0.9, 0.99))
        self.average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        self.step, self.seconds = 0, 0.0
        self.precision = resolve_precision(training.precision, CPU)
        self._resume()

    def run(self) -> Path:
        """Train until the last step, Ctrl-C or SIGTERM; return the file of the averaged weights."""
        saved = time.monotonic()
        metrics: list[tuple[float, ...]] = []
        with stop_flag() as stop, ThreadPoolExecutor(1, "samples") as ahead:
            batch = ahead.submit(draw_batch, self.images, self.training, self.step)
            while self.step < self.training.steps and not stop.is_set():
                drawn = batch.result()
                batch = ahead.submit(draw_batch, self.images, self.training, self.step + 1)
                metrics.append(self.train_step(drawn))
                if self.step % LOG_EVERY == 0:
                    loss, first, last = np.mean(metrics, axis=0)
                    log.info("step %d: loss %.4f, J %.1f, corrected %.1f", self.step, loss, first, last)
                    metrics.clear()
                if (now := time.monotonic()) - saved > SAVE_EVERY:
                    self.seconds, saved = self.seconds + now - saved, now
                    self.save()
        self.seconds += time.monotonic() - saved
        self.save()
        return self.write()

    def train_step(self, batch: Batch) -> tuple[float, float, float]:
        """Learn from two or three rounds of prompts; return loss, and J in percent of the first and last round."""
        rng = np.random.default_rng([self.training.seed, self.step, 1])
        rounds = 2 + (rng.random() < self.training.third_round)
        learns = self._set_rates()
        precision = autocast(CPU, self.precision)
        with torch.set_grad_enabled(learns), precision:
            features = self.network.encode(batch.images)
        share = 1 - (1 - HARDEST_SHARE) * min(1.0, self.step / max(1, self.training.hardest_from))
        planes, scores, losses = batch.planes, [], []
        for index in range(rounds):
            with precision:
                output = self.network(features, torch.from_numpy(planes))
            loss, logits = prompt_loss(output, batch.truth, share)
            losses.append(loss * (LATER_ROUND_WEIGHT if index else 1.0) / 2)
            scores.append(100 * _mean_iou(logits > 0, batch.truth))
            if index < rounds - 1:
                planes = _add_corrections(planes, logits.sigmoid().numpy(), batch.truth.numpy(), rng)
        total = torch.stack(losses).sum()
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_([x for x in self.network.parameters() if x.grad is not None], MAX_GRADIENT_NORM)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self._average_weights()
        return float(total.detach()), scores[0], scores[-1]

    def _set_rates(self) -> bool:
        """Set the learning rates of a step; return whether the encoder learns."""
        learns = self.step >= self.training.encoder_from
        for group in self.optimizer.param_groups:
            encoder = group["encoder"]
            start, warmup = (self.training.encoder_from, 200) if encoder else (0, 100)
            group["lr"] = group["peak"] * learning_rate_factor(self.training, self.step, start=start, warmup=warmup)
            for parameter in group["params"]:
                parameter.requires_grad_(learns or not encoder)
        self.optimizer.zero_grad(set_to_none=True)
        return learns

    @torch.no_grad()
    def _average_weights(self) -> None:
        decay = min(self.training.ema, (self.step + 1) / (self.step + 20))
        for name, tensor in self.network.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - decay)

    def save(self) -> None:
        """Write the state that a later run resumes from."""
        content = {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_path(self.output / "state.pt") as path:
            torch.save(content, path)

    def _resume(self) -> None:
        path = self.output / "state.pt"
        if not path.is_file():
            return
        with reading(path, "remove it to start again", RuntimeError):  # of PyTorch, for another network
            saved = SavedRun.model_validate(load_pickle(path))
            self.network.load_state_dict(saved.model)
            self.optimizer.load_state_dict(vars(saved.optimizer))
            self.average, self.step, self.seconds = saved.average, saved.step, saved.seconds

    def write(self) -> Path:
        """Write the averaged network with its model card."""
        trained = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        path = self.output / BUNDLED_PROMPTS.name
        save_prompt_network(path, self.network, half=True, card=self._build_card().to_json())
        self.network.load_state_dict(trained)
        return path

    def _build_card(self) -> ModelCard:
        training = self.training
        groups = sorted({image.group for image in self.images})
        record = PhaseRecord(
            name="prompts", steps=self.step, planned=training.steps, hours=self.seconds / 3600, batch=training.batch,
            clip_length=1, crop=training.size, data=[f"{len(self.images)} images: {', '.join(groups)}"],
            seed=training.seed, precision=self.precision, device="1 × cpu", start=self.checkpoint.name,
            command=self.command,
        )  # fmt: skip
        return ModelCard(phases=[*self.earlier_phases, record])


def build_prompt_network(model: Any, blocks: int) -> PromptNetwork:
    """Return a new network with a tracking model's encoder; of an AOT also its first block, decoder and identities."""
    config: ModelConfig = model.config
    stage = config.stages[0]
    stage = stage if isinstance(stage, AOTStage) else AOTStage()
    network = PromptNetwork(
        PromptConfig(
            encoder=config.encoder,
            dim=config.dim,
            blocks=blocks,
            heads=stage.heads,
            window=stage.window,
            feedforward=stage.feedforward,
            align_corners=config.align_corners,
        )
    )
    network.encoder.load_state_dict(model.encoder.state_dict())
    network.projector.load_state_dict(model.projector.state_dict())
    if config.method != "aot":
        return network
    for block, norm in zip(network.blocks, network.norms, strict=True):
        block.load_state_dict(model.blocks[0].state_dict())
        norm.load_state_dict(model.norms[0].state_dict())
    _init_bank(network.identity_bank, model.identity_bank)
    _init_decoder(network, model)
    return network


@torch.no_grad()
def _init_bank(bank: nn.Conv2d, identities: nn.Conv2d) -> None:
    """Start planes on the object from the first identity, and planes off it from the background."""
    background, identity = identities.weight[:, 0], identities.weight[:, 1]
    for plane, gain in enumerate((3.0, -2.1, 0.6, 1.0)):  # discs fill a part of a patch only
        bank.weight[:, plane] = gain * (identity - background)
    bank.bias.copy_(identities.bias + 0.5 * background.sum((1, 2)))  # type: ignore[union-attr,operator]


@torch.no_grad()
def _init_decoder(network: PromptNetwork, model: Any) -> None:
    """The last embedding is shared by all blocks; the logit is that of identity 1 against background."""
    projection, state = dict(model.conv_in.state_dict()), dict(model.decoder.state_dict())
    dim, blocks = network.projector.out_channels, len(network.blocks)
    tokens, embedding = projection["conv.weight"][:, : 2 * dim].split(dim, 1)
    projection["conv.weight"] = torch.cat([tokens, *[embedding / blocks] * blocks], 1)
    network.conv_in.load_state_dict(projection)
    for key in ("conv_out.weight", "conv_out.bias"):
        state[key] = state[key][1:2] - state[key][0:1]
    network.decoder.load_state_dict(state)


def _build_parameter_groups(network: PromptNetwork, training: PromptTraining) -> list[dict[str, Any]]:
    """Return parameter groups: matrices, vectors, and the encoder's later half with its projection."""
    layers: Any = getattr(network.encoder, "features", None) or network.encoder.freezable_parts
    later = list(layers)[7 if len(layers) > 7 else -1 :]  # of MobileNetV2: from stride 16 on
    encoder = [x for module in (*later, network.projector) for x in module.parameters()]
    network.encoder.requires_grad_(False)
    others = (
        network.identity_bank, network.blocks, network.norms, network.conv_in, network.decoder,
        network.bank4, network.bank8,
    )  # fmt: skip
    rest = [x for module in others for x in module.parameters()]
    decay, peak = training.weight_decay, training.lr
    matrices, vectors = [x for x in rest if x.dim() > 1], [x for x in rest if x.dim() <= 1]
    return [
        {"params": matrices, "weight_decay": decay, "peak": peak, "encoder": False},
        {"params": vectors, "weight_decay": 0.0, "peak": peak, "encoder": False},
        {"params": encoder, "weight_decay": decay, "peak": training.encoder_lr, "encoder": True},
    ]


def _add_corrections(
    planes: np.ndarray, predictions: np.ndarray, truth: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the next round's planes: the prediction, usually unchanged, and usually a click in its deepest error."""
    planes = planes.copy()
    for plane, prediction, target in zip(planes, predictions, truth, strict=True):
        kind = rng.random()
        plane[MASK] = prediction if kind < 0.75 else (prediction > 0.5) if kind < 0.9 else 0
        if rng.random() < CLICK_PROBABILITY:
            add_correction(plane, prediction, target, rng)
    return planes


def _mean_iou(predictions: Tensor, truth: Tensor) -> float:
    counted, target = truth != VOID, truth == 1
    shared = (predictions & target).sum((1, 2))
    union = ((predictions | target) & counted).sum((1, 2))
    return float(((shared + 1e-6) / (union + 1e-6)).mean())


@command("python -m research.bundled.train_prompts")
@settings
@option("--config", metavar="FILE", help="YAML file with the settings (default: recipes/prompts.yaml)")
@print_config
def main(overrides: tuple[str, ...], *, config: str | None, print_config: bool) -> int:
    """Train the prompt network."""
    prefixes = tuple(f"{key}=" for key in DEFAULT_PATHS)
    paths = DEFAULT_PATHS | dict(text.split("=", 1) for text in overrides if text.startswith(prefixes))
    data, output, start = paths.values()
    recipe = Path(config or DEFAULT_RECIPE)
    training = load_prompt_training(recipe, [text for text in overrides if not text.startswith(prefixes)])
    if print_config:
        print(to_yaml(training), end="")
        return 0
    command_line = click.get_current_context().meta["command_line"]
    folder = require_writable(Path(output))
    print(PromptTrainer(resolve_checkpoint(start), Path(data), folder, training, command=command_line).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
