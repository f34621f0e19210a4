"""Fine-tuning on one scene offline, with scores before, after and along the way."""
