"""Training settings: data, phases, optimisation. The string under a field is its help text."""

from __future__ import annotations

from dataclasses import dataclass, field

from aotlab.utils.files import require_file_name
from aotlab.utils.numbers import (
    COUNT,
    COUNT_OR_ZERO,
    FRACTION,
    NON_NEGATIVE,
    POSITIVE,
    SEED,
    Range,
    require_choice,
    require_ranges,
)

PRECISIONS = ("float32", "bfloat16", "float16", "auto")
"""auto: bfloat16 if the processor computes it, else float32"""
AUGMENTATIONS = ("aot", "deaot")
CLIP_EDGE = Range(32, 2**13, whole=True)
"""side of a training image in pixels; OpenCV warps sides below 2**15 only, and images may be wide"""
MAX_LEARNING_RATE = 1e6
"""bound of rates and decays, whose products must fit into float32"""
PHASE_RANGES = {
    "steps": COUNT, "batch": COUNT, "clip_length": Range(2, 10_000, whole=True), "crop": CLIP_EDGE,
    "short_edge": CLIP_EDGE,
    "thin_plate": FRACTION, "merge": FRACTION, "compose": FRACTION, "entering": FRACTION,
    "lr": Range(0, MAX_LEARNING_RATE, above_low=True), "final_lr": Range(0, MAX_LEARNING_RATE),
    "weight_decay": Range(0, MAX_LEARNING_RATE),
    "reference_loss_until": NON_NEGATIVE, "feed_predictions_after": NON_NEGATIVE,
}  # fmt: skip
TRAIN_RANGES = {
    "accumulate": COUNT, "warmup": Range(0, 1, below_high=True), "power": NON_NEGATIVE,
    "encoder_lr_ratio": Range(0, MAX_LEARNING_RATE), "freeze_encoder_stages": COUNT_OR_ZERO,
    "hardest_pixels": Range(0, 1, above_low=True), "hardest_pixels_after": Range(0, above_low=True),
    "clip_gradients": POSITIVE, "ema": FRACTION, "seed": SEED, "save_every": COUNT, "keep": COUNT,
    "validate_every": COUNT_OR_ZERO, "log_every": COUNT, "image_every": COUNT_OR_ZERO,
    "max_nonfinite_steps": COUNT_OR_ZERO,
}  # fmt: skip


@dataclass(frozen=True)
class SourceConfig:
    """One source of training or validation data below data.root."""

    path: str
    """folder below data.root, or an absolute path"""
    kind: str = "video"
    """layout: static or video for JPEGImages/*/ with Annotations/*/; coco, ecssd, msra10k, pascal_s, voc2012 (images),
    davis, youtube_vos, vost (videos) as distributed"""
    split: str | None = None
    """list file in ImageSets/ without .txt, or the data set's name of a split; null: all, but in
    data.validation val, if there is such a list"""
    weight: float = 1.0
    """sampling weight relative to the other sources"""
    max_gap: int = 3
    """largest number of frames between two frames of a clip (video)"""
    balance: float = 0.0
    """sampling of the sets in a static folder: 0: every image equally likely; 1: every set"""

    def __post_init__(self) -> None:
        require_ranges(
            self, "train.phases.sources.", {"weight": POSITIVE, "max_gap": COUNT, "balance": FRACTION}
        )


@dataclass(frozen=True)
class DataConfig:
    """Training and validation data."""

    root: str | None = None
    """folder that holds the sources"""
    workers: int = 2
    """processes that prepare clips, on each rank"""
    validation: list[SourceConfig] = field(default_factory=list)
    """videos tracked and scored during training"""
    validation_fraction: float = 0.0
    """fraction of the training videos held back for validation if `validation` is empty and there are at least 10"""

    def __post_init__(self) -> None:
        require_ranges(
            self, "data.", {"workers": Range(0, 1024, whole=True), "validation_fraction": Range(0, 0.5)}
        )


@dataclass(frozen=True)
class PhaseConfig:
    """A phase of training with its data and schedule."""

    name: str
    """name in logs and file names"""
    steps: int = 100_000
    """optimiser steps"""
    batch: int = 16
    """clips in an optimiser step, over all ranks and micro-batches"""
    clip_length: int = 5
    """frames in a clip"""
    short_edge: int = 480
    """size of a video's shortest side, in pixels, before the random scale of 0.7 to 1.3"""
    crop: int = 465
    """side of a training clip in pixels; rounded to the model's grid"""
    augmentation: str | None = None
    """aot: mild colours; deaot: strong colours, grey and blur; null: that of the method's authors"""
    thin_plate: float = 0.0
    """probability that a frame made of a single image is warped by a thin-plate spline instead of an affine map"""
    merge: float = 0.3
    """probability that a second clip's objects are pasted over the first's"""
    compose: float = 0.0
    """fraction of merged clips whose pasted objects are scaled and move, over or under the first's objects"""
    entering: float = 0.0
    """fraction of composed clips whose pasted objects enter over a border, partly visible in the reference frame"""
    lr: float = 2e-4
    """learning rate after warm-up"""
    final_lr: float | None = None
    """learning rate at the start of warm-up and at the end; null: 2e-5 with MobileNetV2, 1e-5 with other encoders"""
    weight_decay: float = 0.07
    """AdamW weight decay of matrices"""
    reference_loss_until: float = 1.0
    """fraction of the steps over which the loss on reference frames fades out"""
    feed_predictions_after: float = 0.5
    """fraction of the steps after which memory is fed with predictions instead of labels"""
    sources: list[SourceConfig] = field(default_factory=list)
    """the mixture of data"""

    def __post_init__(self) -> None:
        require_ranges(self, f"phase {self.name}: ", PHASE_RANGES)
        require_file_name(self.name, "train.phases.name")
        if self.augmentation is not None:
            require_choice(self.augmentation, AUGMENTATIONS, f"phase {self.name}: augmentation")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation."""

    output: str | None = None
    """folder for checkpoints and logs; null: runs/NAME"""
    run: list[str] = field(default_factory=list)
    """names of the phases to run; empty: all"""
    encoder_weights: str | None = None
    """ImageNet weights of the encoder: a file, 'torchvision', or null for random weights; no effect with start_from"""
    start_from: str | None = None
    """checkpoint of the same model to start from: a file, or 'bundled' for the model in the package"""
    warm_start: str | None = None
    """checkpoint of another model, a file or 'bundled'; its weights whose names and shapes match replace those of
    start_from or encoder_weights"""
    precision: str = "float32"
    """float32, bfloat16 or float16 (autocast, float16 with a gradient scaler), or auto: bfloat16 if the
    processor computes it, else float32"""
    accumulate: int = 1
    """number of micro-batches that a batch is split into, to save memory"""
    compile: bool = False
    """compile encoder, blocks and decoder with torch.compile, on CUDA"""
    checkpoint_activations: bool = False
    """recompute the encoder's activations in the backward pass instead of storing them"""
    warmup: float = 0.05
    """fraction of the steps with a rising learning rate"""
    power: float = 0.9
    """exponent of the learning rate's polynomial decay"""
    encoder_lr_ratio: float = 0.1
    """learning rate of the encoder relative to the rest"""
    freeze_encoder_stages: int = 2
    """number of frozen encoder stages, counted from the input"""
    hardest_pixels: float = 0.15
    """final fraction of pixels in the bootstrapped cross-entropy"""
    hardest_pixels_after: float = 0.5
    """fraction of the steps after which `hardest_pixels` is reached"""
    clip_gradients: float = 5.0
    """maximum norm of the gradient"""
    max_nonfinite_steps: int = 0
    """number of consecutive steps with a non-finite loss or gradient to skip; one more stops the run"""
    ema: float = 0.1
    """averaging window of the EMA weights as a fraction of the steps"""
    seed: int = 0
    """random seed"""
    save_every: int = 500
    """interval in steps between saved states"""
    keep: int = 3
    """number of saved states to keep"""
    half_weights: bool = False
    """store the weights of a finished phase as 16-bit floats, in half the space"""
    validate_every: int = 0
    """interval in steps between validations; 0: only at the end of each phase"""
    log_every: int = 20
    """interval in steps between log lines"""
    image_every: int = 500
    """interval in steps between images of clips and predictions; 0: none"""
    phases: list[PhaseConfig] = field(default_factory=list)
    """training phases in order; each starts from the averaged weights of the previous one"""

    def __post_init__(self) -> None:
        require_choice(self.precision, PRECISIONS, "train.precision")
        require_ranges(self, "train.", TRAIN_RANGES)
