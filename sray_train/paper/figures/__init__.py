"""The paper's figures from checkpoints: what the network looks at, and what it renders beside the others."""
