"""Training in stages: one integer of progress, keyed randomness, checkpoints that survive anything."""
