"""The processes of a run: which one this is, and the few things they decide together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """This process among `count`. All methods are called by all of them together."""

    rank: int = 0
    count: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            dist.barrier()

    def all_agree(self, fine: bool) -> bool:
        """Whether `fine` is true on every process."""
        return bool(self.least(torch.tensor(int(fine), device=self.device)).item())

    def least(self, value: Tensor) -> Tensor:
        """The smallest of all processes' values."""
        if self.count > 1:
            dist.all_reduce(value, op=dist.ReduceOp.MIN)
        return value

    def mean(self, value: Tensor) -> Tensor:
        """The mean of all processes' values, in float64 on the way so that the order of addition hardly matters."""
        if self.count == 1:
            return value
        total = value.to(torch.float64) if value.device.type == "cpu" else value.clone()
        dist.all_reduce(total)
        return (total / self.count).to(value.dtype)
