"""Render: a clip and garments in, the same clip with the garments worn out."""
