"""What a log line says: means since the last one, speed, waiting and memory."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import Tensor

from .processes import Processes
from .terms import Terms

NAMES = ("loss", "diffusion", "temporal", "perceptual")


@dataclass
class Meter:
    """Sums over the steps since it was made, on this process."""

    began: float = field(default_factory=time.perf_counter)
    waited: float = 0.0
    steps: int = 0
    frames: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, terms: Terms, frames: int, waited: float) -> None:
        """One part of a step: its terms, how many frames it had and how many seconds it was waited for."""
        found = (terms.total.detach(), terms.diffusion, terms.temporal, terms.perceptual)
        for name, value in zip(NAMES, found):
            if value is not None and (name != "diffusion" or len(found) - found.count(None) > 2):
                self.sums[name] = self.sums.get(name, 0.0) + value.float()
                self.counts[name] = self.counts.get(name, 0) + 1
        self.frames += frames
        self.waited += waited

    def pause(self, since: float) -> None:
        """What happened from `since` till now was no training: it does not count as time."""
        self.began += time.perf_counter() - since

    def values(self, processes: Processes) -> dict[str, float]:
        """Means over all processes, to be logged; all of them call it together."""
        seconds = max(time.perf_counter() - self.began, 1e-9)
        means = {name: float(processes.mean(self.sums[name] / self.counts[name])) for name in NAMES if name in self.sums}
        return means | {
            "frames_per_second": self.frames * processes.count / seconds,
            "seconds_per_step": seconds / max(self.steps, 1),
            "data_wait": self.waited / seconds,
            "memory_gib": peak_memory(processes.device) / 2**30,
        }


def peak_memory(device: torch.device) -> int:
    """Bytes held at most so far: on the device, or on a CPU resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe(step: int, total: int, stage: str, values: dict[str, float], left: float | None) -> str:
    """ "step 120/600 (image): loss 0.0321, gradient 0.51, rate 0.0001, 38.1 frames/s, waiting 1 %, 1.2 GiB, 0:03:20 left" """
    parts = [
        f"loss {values['loss']:.4g}",
        f"gradient {values['grad_norm']:.3g}",
        f"rate {values['rate']:.2g}",
        f"{values['frames_per_second']:.3g} frames/s",
        f"waiting {100 * values['data_wait']:.0f} %",
        f"{values['memory_gib']:.2g} GiB",
    ]
    if values.get("skipped"):
        parts.append(f"{values['skipped']:.0f} steps skipped")
    if left is not None:
        parts.append(f"{timedelta(seconds=round(left))} left")
    return f"step {step}/{total} ({stage}): " + ", ".join(parts)
