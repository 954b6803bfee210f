"""Which engine a plan means."""

from __future__ import annotations

from pathlib import Path

from .engine import Engine
from .plan import RenderPlan, limits_of


def make_engine(plan: RenderPlan, work: Path) -> Engine:
    """The engine of `plan`, with `work` as its own folder for what it finds out."""
    if plan.checkpoint is not None:
        from .diffusion_engine import DiffusionEngine  # heavy: MediaPipe, diffusers

        request, limits = plan.request, limits_of(plan.settings)
        return DiffusionEngine(request.source, plan.garments, work, plan.settings, limits, plan.checkpoint)
    from .warp_engine import WarpEngine  # heavy: MediaPipe

    return WarpEngine(plan.request.source, plan.garments, work, plan.settings, limits_of(plan.settings))
