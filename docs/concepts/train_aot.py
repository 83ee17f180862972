"""AOT's training loop: clips of images, then of videos, with the recurrence, the loss and the schedules of aotlab.

Run it in a checkout with a folder that has JPEGImages/480p/VIDEO/*.jpg and Annotations/480p/VIDEO/*.png::

    python docs/concepts/train_aot.py datasets/sample --steps 20 --side 193
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aotlab import load_model, read_mask
from aotlab.configs.schema import Config
from aotlab.engine.memory.bank import build_bank
from aotlab.engine.recurrence import DecodedFrame, encode_frame, memorize_frame, memorize_reference, segment_frame
from aotlab.engine.training import optimization as opt
from aotlab.engine.training.clip import (
    ClipBatch,
    ClipOptions,
    draw_masks,
    draw_permutations,
    frame_losses,
    freeze_identities,
)
from aotlab.engine.training.losses import count_hard_pixels
from aotlab.media.images import read_image
from aotlab.media.masks import VOID
from aotlab.networks.model import Features, VOSModel
from aotlab.networks.weights.checkpoints import save_checkpoint

PEAK, FINAL, LENGTH, MAX_GAP = 2e-4, 2e-5, 5, 3
"""Learning rates, frames in a clip, and largest distance between two of them."""


@dataclass(frozen=True)
class Clips(Dataset[tuple[Tensor, Tensor]]):
    """Clips of a folder; clip i depends only on the seed and i, so a loader needs no state to resume."""

    folder: Path
    is_static: bool
    """Make each clip of one image, which is cropped differently for each frame."""
    count: int
    side: int
    max_objects: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the images T×3×H×W of a clip, and its indices T×H×W: objects of the first frame have 1 to n."""
        rng = np.random.default_rng([int(self.is_static), index])
        video = rng.choice(sorted((self.folder / "Annotations" / "480p").iterdir()))
        files = sorted(video.glob("*.png"))
        gap = 0 if self.is_static else rng.integers(1, MAX_GAP + 1)
        first = rng.integers(max(1, len(files) - gap * (LENGTH - 1)))
        crop, frames = self.draw_crop(rng), []
        for file in (files[min(first + gap * frame, len(files) - 1)] for frame in range(LENGTH)):
            image = read_image(self.folder / "JPEGImages" / "480p" / video.name / f"{file.stem}.jpg")
            frames.append(self.cut(image, read_mask(file), self.draw_crop(rng) if self.is_static else crop))
        images, masks = map(torch.stack, zip(*frames, strict=True))
        ids = [object_id for object_id in masks[0].unique().tolist() if object_id not in (0, VOID)][: self.max_objects]
        indices = torch.where(masks == 0, 0, VOID)  # objects that enter later are ignored
        for index, object_id in enumerate(ids, start=1):
            indices[masks == object_id] = index
        return images, indices

    def draw_crop(self, rng: np.random.Generator) -> tuple[float, float, float]:
        """Draw the size of a square crop relative to the image's height, and its place, from 0 to 1."""
        return rng.uniform(0.6, 1.0), rng.uniform(), rng.uniform()

    def cut(self, image: np.ndarray, mask: np.ndarray, crop: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
        """Return a crop 3×H×W, from 0 to 1, and its mask H×W."""
        side = int(crop[0] * min(mask.shape))
        top, left = (int(place * (edge - side)) for place, edge in zip(crop[1:], mask.shape, strict=True))
        area, size = np.s_[top : top + side, left : left + side], (self.side, self.side)
        pixels = torch.from_numpy(image[area].copy()).movedim(2, 0)[None] / 255
        labels = torch.from_numpy(mask[area].copy())[None, None].float()
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        return pixels[0], F.interpolate(labels, size)[0, 0].long()


def collate(clips: list[tuple[Tensor, Tensor]]) -> ClipBatch:
    """Stack clips, time first."""
    images, target_indices = (torch.stack(parts, 1) for parts in zip(*clips, strict=True))
    return ClipBatch(images, target_indices, [int(clip[clip != VOID].max()) for _, clip in clips])


def clip_loss(model: VOSModel, config: Config, clip: ClipBatch, options: ClipOptions) -> Tensor:
    """Run the recurrence of tracking over a batch of clips with gradients; return its loss, a scalar."""
    batch, images = len(clip.object_counts), clip.images.flatten(0, 1)
    parts = zip(*(maps.split(batch) for maps in encode_frame(model, images, images.shape[2:])), strict=True)
    features = [Features(*maps) for maps in parts]  # of each frame
    if options.use_predictions:
        model = freeze_identities(model)
    bank = build_bank(config.memory, training=True)

    # the reference frame attends to its own identities, and becomes the first memory
    targets = clip.target_indices
    masks = draw_masks(config.model, targets[0], targets[0] == VOID, options.permutations)
    memory, propagated = memorize_reference(model, features[0], masks)
    bank.add_reference(memory)
    decoded = DecodedFrame(propagated, model.decode(propagated, features[0]).float(), memory)
    losses = [frame_losses(model, features[0], decoded, clip, 0, options)]
    for index, frame in enumerate(features[1:], start=1):
        decoded = segment_frame(model, bank, frame)  # reads the bank
        losses.append(frame_losses(model, frame, decoded, clip, index, options))
        stored = losses[-1].prediction if options.use_predictions else targets[index]
        masks = draw_masks(config.model, stored, targets[index] == VOID, options.permutations)
        bank.add(*memorize_frame(model, bank, decoded, masks))
    return options.reference_weight * losses[0].total.mean() + torch.stack([loss.total for loss in losses[1:]]).mean()


def train_phase(model: VOSModel, config: Config, clips: Clips, batch: int) -> None:
    """Train on all clips, then give the model its averaged weights."""
    steps = len(clips) // batch
    optimizer = torch.optim.AdamW(opt.parameter_groups(model, weight_decay=0.07, encoder_lr_ratio=0.1))
    average = opt.average_weights(model, steps, ratio=0.1)
    for step, clip in enumerate(DataLoader(clips, batch, drop_last=True, collate_fn=collate)):
        rate = opt.learning_rate(step, steps, peak=PEAK, final=FINAL, warmup=0.05, power=0.9)
        opt.set_learning_rates(optimizer, rate, final=FINAL)
        options = ClipOptions(
            # the identities of the objects of each clip, so that all identities are learned
            draw_permutations(batch, config.model.max_objects, torch.Generator().manual_seed(step)),
            count_hard_pixels(clips.side**2, step, steps, fraction=0.15, reached_after=0.5),
            use_predictions=step >= steps // 2,  # as in tracking; the targets are easier at first
            reference_weight=opt.reference_loss_weight(step, steps, until=1.0),
        )
        loss = clip_loss(model, config, clip, options)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        average.update_parameters(model)
        kind = "images" if clips.is_static else "videos"
        print(f"{kind}, step {step + 1} of {steps}: loss {loss:.3f}  lr {rate:.1e}")
    model.load_state_dict(average.module.state_dict())


def main(words: list[str] | None = None) -> None:
    """Train the bundled model further on images, then on videos, and write its weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=100, help="of each of the two phases")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--side", type=int, default=465, help="of a clip in pixels, 16k + 1")
    parser.add_argument("--output", type=Path, default=Path("aot.safetensors"))
    options = parser.parse_args(words)
    torch.manual_seed(0)
    model, config = load_model("bundled")
    model.train()  # with drop-path; batch norms are frozen
    for part in model.encoder.freezable_parts[:2]:
        part.requires_grad_(False)
    for is_static in (True, False):
        count = options.steps * options.batch
        clips = Clips(options.folder, is_static, count, options.side, config.model.max_objects)
        train_phase(model, config, clips, options.batch)
    save_checkpoint(options.output, model, config)


if __name__ == "__main__":
    main()
