"""The training loop, its stages, and what a run leaves behind."""
