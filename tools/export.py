"""Write a model as ONNX graphs, and check that they compute the same.

``aotlab export --config aott --size 854x480 --output exported --verify``
``aotlab export --precision int8 --calibrate FRAMES MASKS --output exported --verify``
``aotlab export --checkpoint my.safetensors memory.policy=bounded_fifo memory.frames=4 --output exported``
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from click import UsageError

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.tools.cli.command import command, option_group
from aotlab.tools.cli.options import (
    checkpoint_option,
    config_option,
    force_file,
    print_config,
    print_settings,
    settings,
)
from aotlab.tools.cli.types import Choice, ExistingFolder, Folder, Size, flag, number_type, option
from aotlab.utils.errors import require, require_modules
from aotlab.utils.numbers import Range


@command("aotlab export")
@settings
@option("--size", type=Size, default=(854, 480), help="WIDTHxHEIGHT of the frames (default: 854x480)")
@flag("--half", "store weights in float16, half the size; the graphs compute in float32")
@option(
    "--precision",
    type=Choice(("float32", "int8")),
    default="float32",
    help="int8: quantize large convolutions and matrix multiplications; needs --calibrate",
)
@option(
    "--calibrate",
    metavar="FRAMES MASKS",
    nargs=2,
    type=ExistingFolder,
    help="folders of a clip that resembles your videos, to calibrate int8 and for --verify",
)
@flag("--quantize-encoder", "int8 for the encoder too: faster, but less accurate on objects unlike those of the clip")
@option(
    "--max-loss", type=number_type(Range(0, 100)), help="maximum drop of J in points for --verify (default for int8: 1)"
)
@flag(
    "--fused",
    "use onnxruntime's attention operator, which needs half the memory on CPUs; other runtimes lack it",
)
@flag("--no-prompts", "leave out the prompt network")
@flag(
    "--verify",
    "track a synthetic clip, or that of --calibrate, with PyTorch and with the graphs; exit code 1 if they differ",
)
@option("--provider", metavar="NAME", help="execution provider for --verify, such as cuda (default: cpu)")
@option_group("output", option("--output", type=Folder, help="folder to write [required]"), force_file)
@option_group("model", checkpoint_option(untrained=True), config_option(), print_config)
def main(
    overrides: tuple[str, ...],
    *,
    size: tuple[int, int],
    half: bool,
    fused: bool,
    precision: str,
    calibrate: tuple[Path, Path] | None,
    quantize_encoder: bool,
    max_loss: float | None,
    no_prompts: bool,
    verify: bool,
    provider: str | None,
    output: Path | None,
    force: bool,
    checkpoint: Path | None,
    config: str | None,
    print_config: bool,
) -> int:
    from aotlab.engine.export.clip import CALIBRATION_FRAMES, read_clip
    from aotlab.engine.export.export import ExportOptions, export_model, resolve_export_config
    from aotlab.engine.export.verify import VERIFIED_FRAMES, require_agreement, select_clip, verify_export
    from aotlab.networks.weights.checkpoints import build_or_load, read_settings

    path = checkpoint or (None if config else BUNDLED_CHECKPOINT)
    export_config = resolve_export_config(read_settings(path, config=config, overrides=overrides))
    if print_config:
        return print_settings(export_config)
    if output is None:
        raise UsageError("--output: missing; give a folder")
    is_int8 = precision == "int8"
    if is_int8 and not calibrate:
        raise UsageError("--precision int8: needs --calibrate FRAMES MASKS")
    if quantize_encoder and not is_int8:
        raise UsageError("--quantize-encoder: only with --precision int8")
    if calibrate and not (is_int8 or verify):
        raise UsageError("--calibrate: only with --precision int8 or --verify")
    for name, value in (("--max-loss", max_loss), ("--provider", provider)):
        if value is not None and not verify:
            raise UsageError(f"{name}: only with --verify")
    require_packages((provider or "cpu") if verify else None, calibrate=is_int8)

    clip = read_clip(*calibrate, CALIBRATION_FRAMES + VERIFIED_FRAMES, size[::-1]) if calibrate else []
    verified_clip = select_clip(clip, size[::-1]) if verify else []
    model, model_config = build_or_load(path, config=config, overrides=overrides)

    def check(folder: Path) -> None:
        agreement = verify_export(model, export_config, folder, clip=verified_clip, provider=provider or "cpu")
        print(agreement)
        require_agreement(agreement, half=half, max_loss=1.0 if is_int8 and max_loss is None else max_loss)

    options = ExportOptions(
        half=half,
        prompts=not no_prompts,
        calibration=clip if is_int8 else (),
        fused=fused or is_int8,
        quantize_encoder=quantize_encoder,
    )
    export_model(
        model, model_config, output, options, frame_size=size[::-1], force=force, check=check if verify else None
    )
    megabytes = sum(path.stat().st_size for path in output.iterdir()) / 1e6
    print(
        f"{output}: {model_config.name} as ONNX graphs of {megabytes:.1f} MB for {size[0]}x{size[1]}, "
        f"up to {export_config.memory.frames} frames in long-term memory"
    )
    return 0


def require_packages(provider: str | None, *, calibrate: bool) -> None:
    """Require the packages that export, calibrate and, with an execution provider, verify."""
    from aotlab.engine.export.export import ONNX_PACKAGES
    from aotlab.engine.export.verify import translate_errors

    require_modules(*ONNX_PACKAGES)
    if calibrate or provider is not None:
        require(find_spec("aotlab_runtime"), "aotlab_runtime must be installed; pip install ./runtime in a checkout")
    if provider is not None:
        require_modules("cv2", "tqdm")
        from aotlab_runtime.graphs import require_provider

        with translate_errors():
            require_provider(provider)


if __name__ == "__main__":
    sys.exit(main())
