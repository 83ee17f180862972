"""Settings of training: data, phases, optimisation. The string under a field is its help."""

from __future__ import annotations

from dataclasses import dataclass, field

from aotlab.configs.checks import require, require_numbers
from aotlab.utils.files import plain_name
from aotlab.utils.numbers import COUNT, COUNT_OR_NONE, NOT_NEGATIVE, PART, POSITIVE, SEED, Range

IMAGE_SETS = ("static", "coco", "ecssd", "msra10k", "pascal_s", "voc2012")
VIDEO_SETS = ("video", "davis", "youtube_vos", "vost")
PRECISIONS = ("float32", "bfloat16", "float16", "auto")
"""auto: bfloat16 where the machine has units for it, else float32"""
AUGMENTATIONS = ("aot", "deaot")
SCHEDULES = ("poly", "cosine")
EDGE = Range(32, 2**15, whole=True)
"""a side of a picture in pixels"""
PHASE_NUMBERS = {
    "steps": COUNT, "batch": COUNT, "clip_length": Range(2, 10_000, whole=True), "short_edge": EDGE, "crop": EDGE,
    "thin_plate": PART, "merge": PART, "compose": PART, "entering": PART, "lr": POSITIVE, "final_lr": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "reference_loss_until": NOT_NEGATIVE, "own_predictions_from": NOT_NEGATIVE,
}  # fmt: skip
TRAIN_NUMBERS = {
    "accumulate": COUNT, "restarts": COUNT, "warmup": Range(0, 1, below_high=True), "power": NOT_NEGATIVE,
    "encoder_lr_ratio": NOT_NEGATIVE, "freeze_encoder_stages": COUNT_OR_NONE,
    "hardest_pixels": Range(0, 1, above_low=True), "hardest_pixels_at": Range(0, above_low=True),
    "clip_gradients": POSITIVE, "ema": PART, "seed": SEED, "save_every": COUNT, "keep": COUNT,
    "validate_every": COUNT_OR_NONE, "log_every": COUNT, "picture_every": COUNT_OR_NONE,
    "skip_not_finite": COUNT_OR_NONE,
}  # fmt: skip


@dataclass(frozen=True)
class SourceConfig:
    """One set of training or validation material below data.root."""

    path: str = "???"
    """folder below data.root, or an absolute one"""
    kind: str = "video"
    """layout: static or video for JPEGImages/*/ with Annotations/*/; coco, ecssd, msra10k, pascal_s, voc2012 (images),
    davis, youtube_vos, vost (videos) as distributed"""
    split: str | None = None
    """list file in ImageSets/ without .txt, or the data set's own name of a split; all when null"""
    weight: float = 1.0
    """how often this source is drawn, relative to the others"""
    max_gap: int = 3
    """largest number of frames between two frames of a clip (video)"""
    balance: float = 0.0
    """how evenly the sets in a static folder are drawn: 0 every image alike, 1 every set alike, 0.5 between them"""

    def __post_init__(self) -> None:
        kinds = IMAGE_SETS + VIDEO_SETS
        require(
            self.kind in kinds,
            f"train.phases.sources.kind must be one of {', '.join(kinds)}, got {self.kind}",
        )
        require_numbers(
            self, "train.phases.sources.", {"weight": POSITIVE, "max_gap": COUNT, "balance": PART}
        )
        require(
            not self.balance or self.kind == "static",
            f"train.phases.sources.balance is for kind static, whose sets are folders; {self.path} is {self.kind}",
        )


@dataclass(frozen=True)
class DataConfig:
    """Where training and validation data are."""

    root: str | None = None
    """folder that holds the sources"""
    workers: int = 2
    """processes that prepare clips, on each rank"""
    validation: list[SourceConfig] = field(default_factory=list)
    """videos that are tracked and scored while training"""
    hold_back: float = 0.0
    """part of the training videos that are held back to validate on, where validation names none and there are 10"""

    def __post_init__(self) -> None:
        require_numbers(self, "data.", {"workers": Range(0, 1024, whole=True), "hold_back": Range(0, 0.5)})


@dataclass(frozen=True)
class PhaseConfig:
    """A phase of training with its data and schedule."""

    name: str = "???"
    """what it is called in logs and file names"""
    steps: int = 100_000
    """optimiser steps"""
    batch: int = 16
    """clips in an optimiser step, over all ranks and accumulated parts"""
    clip_length: int = 5
    """frames in a clip"""
    short_edge: int = 480
    """size of a video's shortest side, in pixels, before the random scale of 0.7 to 1.3"""
    crop: int = 465
    """side of a training clip in pixels; rounded to what the model's grid takes"""
    augmentation: str | None = None
    """aot: mild colours; deaot: strong colours, grey and blur; null: as published for the block type"""
    thin_plate: float = 0.0
    """probability that a frame made of a single image is warped by a thin-plate spline instead of an affine map"""
    merge: float = 0.3
    """probability that a second clip's objects are pasted over the first's"""
    compose: float = 0.0
    """part of the merged clips whose pasted objects are scaled and move, in front of the first's objects or behind"""
    entering: float = 0.0
    """part of those whose pasted objects come in over a border, so that the reference frame shows little of them"""
    lr: float = 2e-4
    """learning rate after warm-up"""
    final_lr: float | None = None
    """learning rate at the start of warm-up and at the end; null: 2e-5 with MobileNetV2, 1e-5 with other encoders"""
    weight_decay: float = 0.07
    """AdamW weight decay of matrices"""
    reference_loss_until: float = 1.0
    """part of the steps over which the loss on reference frames fades out"""
    own_predictions_from: float = 0.5
    """part of the steps after which the model remembers its own masks instead of the labels"""
    sources: list[SourceConfig] = field(default_factory=list)
    """the mixture of data"""

    def __post_init__(self) -> None:
        require_numbers(self, "train.phases.", PHASE_NUMBERS)
        plain_name(self.name, "train.phases.name")
        require(
            self.augmentation is None or self.augmentation in AUGMENTATIONS,
            f"train.phases.augmentation must be one of {', '.join(AUGMENTATIONS)} or null, got {self.augmentation}",
        )


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation."""

    output: str | None = None
    """folder for checkpoints and logs; null: runs/NAME"""
    run: list[str] = field(default_factory=list)
    """names of the phases to run; all when empty"""
    encoder_weights: str | None = None
    """ImageNet weights of the encoder: a file, 'torchvision', or null for random ones"""
    start_from: str | None = None
    """checkpoint whose weights training starts from: a file, or 'bundled' for the one that comes with the package"""
    warm_start: str | None = None
    """checkpoint of another model whose weights are taken where name and shape are the same: a file or 'bundled'"""
    precision: str = "float32"
    """float32, bfloat16 or float16 (autocast, float16 with a gradient scaler), or auto: bfloat16 where the machine is
    faster in it, else float32"""
    accumulate: int = 1
    """parts that a batch is split into, to save memory"""
    compile: bool = False
    """run encoder, blocks and decoder through torch.compile"""
    checkpoint_activations: bool = False
    """compute the encoder's activations twice instead of keeping them"""
    schedule: str = "poly"
    """how the learning rate falls: poly or cosine"""
    restarts: int = 1
    """times that the learning rate's schedule is gone through in a phase"""
    warmup: float = 0.05
    """part of the steps with a rising learning rate"""
    power: float = 0.9
    """exponent of the falling learning rate (poly)"""
    encoder_lr_ratio: float = 0.1
    """the encoder's learning rate, relative to the others"""
    freeze_encoder_stages: int = 2
    """encoder stages, from the image on, that are not trained"""
    hardest_pixels: float = 0.15
    """part of the pixels that bootstrapped cross-entropy ends at"""
    hardest_pixels_at: float = 0.5
    """part of the steps after which it is reached"""
    clip_gradients: float = 5.0
    """largest norm of the gradient"""
    skip_not_finite: int = 0
    """steps in a row that are passed over when their loss or gradient is not finite; one more ends the run"""
    ema: float = 0.1
    """the averaged weights look back over this part of the steps"""
    seed: int = 0
    """seed of all randomness"""
    save_every: int = 500
    """steps from one saved state to the next"""
    keep: int = 3
    """saved states that are kept, newest first"""
    half_weights: bool = False
    """store the weights of a finished phase as 16-bit floats, half as large"""
    validate_every: int = 0
    """steps from one validation to the next, besides the one at the end of each phase; 0: that one alone"""
    log_every: int = 20
    """steps from one log line to the next"""
    picture_every: int = 500
    """steps from one picture of clips and predictions to the next; 0: none"""
    phases: list[PhaseConfig] = field(default_factory=list)
    """phases of training, in order; each starts from the averaged weights of the one before"""

    def __post_init__(self) -> None:
        for name, choices in (("precision", PRECISIONS), ("schedule", SCHEDULES)):
            value = getattr(self, name)
            require(value in choices, f"train.{name} must be one of {', '.join(choices)}, got {value}")
        require_numbers(self, "train.", TRAIN_NUMBERS)
