"""Bending a flat garment picture onto a tracked body: splines, fits, shading. No learned weights."""
