"""How a model learns, in training and in fine-tuning: its teachers, the losses, and the step that lowers them."""
