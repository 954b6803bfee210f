"""Time and memory of a denoising step: ours against diffusers' video U-Nets, and against plain convolutions, in one run.

    .venv/bin/python tools/bench_step.py [--parts rivals,share,temporal,frames,clip] [--rounds 5] [--threads 2]

Every round runs each candidate once in turn, so that a busy machine disturbs all alike; printed are medians and their ratios.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from vidvton.allocator import keep_memory

KEPT = "--fresh" not in sys.argv and keep_memory()  # before torch is imported

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from vidvton.config import read_config
from vidvton.models.config import ModelConfig
from vidvton.models.info import peak_bytes
from vidvton.models.unet import TryOnUNet
from vidvton.values import LAYOUT_WORDS, POINTS, Conditioning

WIDTHS, BLOCKS, GRID, PATCH = (64, 128, 256, 256), 2, (64, 48), 4  # what ours and diffusers' have in common
PARTS, PRECISIONS = "rivals,share,temporal,frames,clip", {"fp32": torch.float32, "bf16": torch.bfloat16}
Run = Callable[[], object]


def timed(candidates: dict[str, Run], rounds: int) -> dict[str, float]:
    """Median seconds of each, run in turn; a first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def conditioning(frames: int, size: tuple[int, int], dtype: torch.dtype, batch: int = 1) -> Conditioning:
    rand = lambda *shape: torch.rand(batch, *shape, dtype=dtype)  # noqa: E731
    pictures = (rand(frames, 3, *size), rand(frames, 1, *size), rand(frames, 33, 3), rand(frames, 4, *size), rand(1, 4, *size))
    words, slots = torch.ones(batch, 1, len(LAYOUT_WORDS), dtype=torch.int64), torch.zeros(batch, 1, dtype=torch.int64)
    return Conditioning(*pictures, rand(1, POINTS, 3), slots, words, torch.ones(batch, 3, dtype=torch.bool), rand())


def step_of(config: ModelConfig, frames: int, dtype: torch.dtype) -> tuple[TryOnUNet, Run]:
    model = TryOnUNet(config).to(dtype).eval()
    encoded = model.encode(conditioning(frames, config.size, dtype))
    x, level = torch.randn(1, frames, 3, *config.size, dtype=dtype), torch.tensor([0.5])
    return model, lambda: model.predict(x, level, encoded)


def rivals(frames: int, dtype: torch.dtype) -> dict[str, Run]:
    """Ours and diffusers' at equal widths, depth, token grid and precision."""
    from diffusers import UNet3DConditionModel, UNetMotionModel

    same = dict(in_channels=4, out_channels=4, block_out_channels=WIDTHS, layers_per_block=BLOCKS, cross_attention_dim=256)
    three = UNet3DConditionModel(**same, attention_head_dim=4).to(dtype=dtype).eval()  # diffusers reads it as the number of heads
    same |= dict(num_attention_heads=4, motion_num_attention_heads=4, motion_max_seq_length=64)
    motion = UNetMotionModel(**same).to(dtype=dtype).eval()
    x, level, words = torch.randn(1, 4, frames, *GRID, dtype=dtype), torch.tensor([500]), torch.randn(1, 77, 256, dtype=dtype)
    plain = dict(encoder_widths=(32, 48, 64, 64), encoder_blocks=(1, 1, 1, 1), embedding_width=256)
    ours = dict(size=(GRID[0] * PATCH, GRID[1] * PATCH), patch=PATCH, widths=WIDTHS, strides=(1, 2, 2, 2), blocks=(BLOCKS,) * 4)
    return {
        "vidvton": step_of(ModelConfig(**ours, **plain), frames, dtype)[1],
        "UNet3DConditionModel": lambda: three(x, level, words),
        "UNetMotionModel": lambda: motion(x, level, words.expand(frames, -1, -1)),
    }


def convolutions(model: TryOnUNet, step: Run) -> dict[str, tuple[int, Run]]:
    """The step's own 3x3 convolutions by shape, as (how many, one plain run of it)."""
    found: dict[str, tuple[int, Run]] = {}

    def note(layer: torch.nn.Conv2d, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        name = f"{list(inputs[0].shape)} x {list(layer.weight.shape)} / {layer.stride[0]}"
        x = torch.randn_like(inputs[0])
        found.setdefault(name, (0, lambda: F.conv2d(x, layer.weight, stride=layer.stride, padding=layer.padding)))
        found[name] = (found[name][0] + 1, found[name][1])

    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.register_forward_hook(note)
    step()
    return found


def flops(run: Run) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def measure(part: str, precision: str, frames: int, rounds: int) -> dict[str, float]:
    dtype, out = PRECISIONS[precision], {}
    tiny, small = (read_config(ROOT / "configs" / "model" / f"{name}.yaml", ModelConfig) for name in ("tiny", "small"))
    if part == "rivals":
        runs = rivals(frames, dtype)
        times, peaks = timed(runs, rounds), {name: peak_bytes(run) for name, run in runs.items()}
        out = {f"{name}: ms a frame": seconds / frames * 1e3 for name, seconds in times.items()}
        out |= {f"{name}: time over ours": times[name] / times["vidvton"] for name in list(runs)[1:]}
        out |= {f"our peak memory over {name}'s": peaks["vidvton"] / peaks[name] for name in list(runs)[1:]}
    elif part == "share":
        plain, (_, step) = convolutions(*step_of(tiny, frames, dtype)), step_of(tiny, frames, dtype)
        times = timed({"step": step, **{name: run for name, (_, run) in plain.items()}}, rounds)
        ceiling = sum(n * flops(run) for n, run in plain.values()) / sum(n * times[name] for name, (n, _) in plain.items())
        reached = flops(step) / times["step"]
        out = {"GFLOP/s of a step": reached / 1e9, "GFLOP/s of its convolutions": ceiling / 1e9, "share": reached / ceiling}
    elif part == "temporal":
        configs = {"video": tiny.for_frames(32), "image": tiny.image}  # one frame rate throughout, as the frame-wise network has
        times = timed({name: step_of(config, frames, dtype)[1] for name, config in configs.items()}, rounds)
        out["temporal layers over the frame-wise step"] = times["video"] / times["image"] - 1
    elif part == "frames":
        times = timed({str(count): step_of(tiny, count, dtype)[1] for count in (16, 32, 64)}, rounds)
        out = {f"ms a frame, {count} frames": seconds / int(count) * 1e3 for count, seconds in times.items()}
    elif part == "clip":
        for name, config in (("tiny", tiny), ("small", small)):
            (model, step), given = step_of(config, 64, dtype), conditioning(64, config.size, dtype)
            out[f"{name}: s, 64 frames, 8 steps"] = timed({"": lambda: (model.encode(given), [step() for _ in range(8)])}, 1)[""]  # noqa: B023
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of a denoising step.")
    for name, usual in {"parts": PARTS, "precision": "bf16,fp32", "frames": 16, "rounds": 5, "threads": 2}.items():
        parser.add_argument(f"--{name}", default=usual, type=type(usual))
    parser.add_argument("--fresh", action="store_true", help="leave the allocator as it is")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for part in options.parts.split(","):
        for precision in options.precision.split(","):
            with torch.inference_mode():
                found = measure(part, precision, options.frames, options.rounds)
            lines = (f"\n  {name:<48}{value:>10.3g}" for name, value in found.items())
            print(f"{part}, {precision} (memory kept: {KEPT})", *lines, sep="", flush=True)


if __name__ == "__main__":
    main()
