"""Fine-tuning the mapper's model on its own keyframes: the action, the job and the process that trains."""
