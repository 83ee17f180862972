"""Identity switches and calibration on clips in which similar objects touch, composed of images held out of training.

``python -m research.bundled.benchmark_touching DATA [--checkpoint FILE]``; the clips depend on ``--seed`` only.
``--calibrate FILE`` writes the checkpoint with the fitted temperature of its confidence.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click
import cv2
import numpy as np

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.dataloaders.training.clips import Clip
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.label_scores import score_labels
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.masks import VOID
from aotlab.networks.weights.checkpoints import load_checkpoint, read_card, save_checkpoint
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import File, Folder, NonNegativeInt, number_type, option
from aotlab.utils.numbers import MAX_COUNT, Range
from aotlab.utils.progress import progress_bar
from research.bundled.touching_clips import (
    HELD_OUT_PART,
    MAX_OBJECTS,
    compose_people_clip,
    compose_touching_clip,
    open_static_part,
)

CONTACT_DISTANCE = 3
"""Distance in pixels within which two objects touch."""
PIXELS_PER_FRAME = 400
"""Number of pixels of each frame on which calibration is measured."""
FRAMES, SIDE = 12, 321
"""Number of frames of a clip, and their side in pixels."""
NUM_BINS = 15
"""Number of bins of the calibration error."""
TEMPERATURES = np.geomspace(0.25, 8, 241)
"""Temperatures that `fit_temperature` tries."""
PixelSample = tuple[np.ndarray, np.ndarray]
"""Logits of pixels, N×(1 + MAX_OBJECTS) float32, -inf for objects that a clip lacks, and N true channels."""


class IdentitySwitches(NamedTuple):
    """Counts over the frames on which objects touch."""

    frames: int
    """Contact frames."""
    pixels: int
    """Pixels of the touching objects on these frames."""
    switched: int
    """Pixels labeled as another object."""

    @property
    def share(self) -> float:
        """Fraction of switched pixels, 0 to 1."""
        return self.switched / self.pixels if self.pixels else 0.0


def find_touching_ids(annotation: np.ndarray) -> list[int]:
    """Return the ids in an annotation (H×W, 255 is void) of objects within `CONTACT_DISTANCE` of another object."""
    objects = np.where(annotation < VOID, annotation, 0).astype(np.uint8)
    kernel = np.ones((2 * CONTACT_DISTANCE + 1,) * 2, np.uint8)
    highest = cv2.dilate(objects, kernel)
    lowest = 255 - cv2.dilate(np.where(objects > 0, 255 - objects, 0).astype(np.uint8), kernel)
    contact = (objects > 0) & ((highest != objects) | (lowest != objects))
    return [int(number) for number in np.unique(objects[contact])]


def count_switches(annotations: Iterable[np.ndarray], predictions: Iterable[np.ndarray]) -> IdentitySwitches:
    """Count the identity switches of a video.

    Args:
        annotations: H×W ids of each frame, 0 background, 255 void.
        predictions: H×W ids of the same frames.
    """
    frames = pixels = switched = 0
    for annotation, prediction in zip(annotations, predictions, strict=True):
        touching = find_touching_ids(annotation)
        if touching:
            is_touching = np.isin(annotation, touching)
            frames += 1
            pixels += int(is_touching.sum())
            switched += int((is_touching & (prediction != annotation) & (prediction > 0)).sum())
    return IdentitySwitches(frames, pixels, switched)


def expected_calibration_error(probability: np.ndarray, right: np.ndarray) -> float:
    """Return the mean difference of probability and share of right pixels over equal bins, weighted by their pixels.

    Source: Guo et al. 2017.

    Args:
        probability: N floats from 0 to 1, the probability of the chosen class.
        right: N bools, whether that class was correct.
    """
    which = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    counts = np.bincount(which, minlength=NUM_BINS)
    gaps = np.bincount(which, probability - right, NUM_BINS)
    return float(np.abs(gaps).sum() / max(1, counts.sum()))


def softmax_with_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax of N×C logits divided by a temperature; logits may be -inf."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature with the smallest cross-entropy.

    Args:
        logits: N×C floats, -inf for classes that a pixel cannot have.
        truth: N integers, the correct class.
    """

    def entropy(temperature: float) -> float:
        probability = softmax_with_temperature(logits, temperature)[np.arange(len(truth)), truth]
        return float(-np.log(np.clip(probability, 1e-7, 1)).mean())

    return float(min(TEMPERATURES, key=entropy))


def calibrate(samples: list[PixelSample], stored: float) -> float:
    """Print the calibration error on clips of even numbers, with a temperature fitted on the others; return that."""
    (fitted, fitted_truth), (tested, truth) = (
        [np.concatenate(arrays) for arrays in zip(*part, strict=True)] for part in (samples[1::2], samples[::2])
    )
    chosen, temperature = tested.argmax(1), fit_temperature(fitted, fitted_truth)

    def measure_error(temperature: float) -> float:
        probability = softmax_with_temperature(tested, temperature)[np.arange(len(chosen)), chosen]
        return expected_calibration_error(probability, chosen == truth)

    print(
        f"calibration error {measure_error(1.0):.2%}, with the stored temperature {stored:g} "
        f"{measure_error(stored):.2%}, with the fitted {temperature:.3f} {measure_error(temperature):.2%}"
    )
    return temperature


def track_clip(tracker: Tracker, clip: Clip) -> tuple[list[np.ndarray], PixelSample]:
    """Return the labels of each frame, and pixels that were labeled as an object on the frames after the first."""
    tracker.reset(len(clip.frames))
    predicted, rng = [], np.random.default_rng(0)
    logits, truth = [], []
    for index, (frame, labels) in enumerate(zip(clip.frames, clip.labels, strict=True)):
        first_mask = np.where(labels < VOID, labels, 0) if index == 0 else None
        prediction = tracker.step(np.ascontiguousarray(frame), first_mask)
        predicted.append(prediction.labels)
        if index:
            rows, columns = np.nonzero((prediction.labels > 0) & (labels < VOID))
            drawn = rng.integers(len(rows), size=PIXELS_PER_FRAME) if len(rows) else np.zeros(0, int)
            rows, columns = rows[drawn], columns[drawn]
            channels = prediction.logits.float().numpy()[:, rows, columns].T
            missing = ((0, 0), (0, 1 + MAX_OBJECTS - channels.shape[1]))
            logits.append(np.pad(channels, missing, constant_values=-np.inf))
            channels_by_id = np.zeros(256, int)
            channels_by_id[list(prediction.ids)] = 1 + np.arange(len(prediction.ids))
            truth.append(channels_by_id[labels[rows, columns]])
    return predicted, (np.concatenate(logits), np.concatenate(truth))


@command("python -m research.bundled.benchmark_touching")
@click.argument("data", type=Folder, metavar="DATA", help="folder that has static/")
@option("--checkpoint", type=File, default=BUNDLED_CHECKPOINT, help="weights (default: the bundled model)")
@option("--clips", type=number_type(Range(2, MAX_COUNT, step=1)), default=24, help="number of clips, 2 or more")
@option("--seed", type=NonNegativeInt, default=1, help="seed of the clips")
@option("--people", is_flag=True, help="compose clips of two people, without other objects")
@option("--calibrate", "output", type=File, help="write the checkpoint with the fitted temperature")
def main(*, data: Path, checkpoint: Path, clips: int, seed: int, people: bool, output: Path | None) -> int:
    """Count identity switches on clips of touching objects."""
    model, config = load_checkpoint(checkpoint)
    tracker = Tracker(model, config)
    images = open_static_part(data, HELD_OUT_PART)
    compose = compose_people_clip if people else compose_touching_clip
    scores, counted, sample = {}, [], []
    with progress_bar(clips, unit="clip") as bar:
        for number in range(clips):
            clip = compose(images, np.random.default_rng([seed, number]), FRAMES, SIDE)
            predicted, pixels = track_clip(tracker, clip)
            scores[f"{number} {clip.names[0]}"] = score_labels(list(clip.labels), predicted)
            counted.append(count_switches(clip.labels[1:], predicted[1:]))
            sample.append(pixels)
            bar.update()
    table = make_scores_table(find_benchmark("folder"), scores)
    print("  ".join(f"{name} {table[name]:.1f}" for name in ("J&F", "J", "F")))
    total = IdentitySwitches(*np.sum(counted, axis=0).tolist())
    print(f"{total.frames} contact frames: {total.switched} of {total.pixels} pixels switched, {total.share:.2%}")
    temperature = calibrate(sample, config.confidence_temperature)
    if output is not None:
        calibrated = config.replace(confidence_temperature=round(temperature, 3))
        card = read_card(checkpoint)
        save_checkpoint(output, load_checkpoint(checkpoint)[0], calibrated, half=True, card=card)
    return 0


if __name__ == "__main__":
    sys.exit(main())
