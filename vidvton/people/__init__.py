"""People: who is in the clip, where their joints are, their outline, and which part of them is what."""
