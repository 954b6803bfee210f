"""Garment pictures understood: foreground, category, parts, landmarks."""

from .prepare import prepare_garment
from .sheet import draw_sheet

__all__ = ["draw_sheet", "prepare_garment"]
