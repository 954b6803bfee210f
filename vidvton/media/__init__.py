"""Clips and pictures in and out of files. PyAV and Pillow live here and nowhere else."""
