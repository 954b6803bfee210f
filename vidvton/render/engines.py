"""Which engine a plan means."""

from __future__ import annotations

from pathlib import Path

from .engine import Engine
from .plan import RenderPlan, limits_of


def make_engine(plan: RenderPlan, work: Path) -> Engine:
    """The engine of `plan`, with `work` as its own folder for what it finds out."""
    if plan.checkpoint is not None:
        from .diffusion_engine import DiffusionEngine, film_of  # heavy: MediaPipe, diffusers

        film = film_of(plan.request.source, limits_of(plan.settings))
        return DiffusionEngine(film, plan.garments, work, plan.settings, plan.checkpoint)
    from .warp_engine import WarpEngine  # heavy: MediaPipe

    return WarpEngine(plan.request.source, plan.garments, work, plan.settings, limits_of(plan.settings))
