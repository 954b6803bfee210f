"""Diffusion without networks: schedules, noise, samplers, guidance, windows and losses, all around one callable, `Denoise`."""
