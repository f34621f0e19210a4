"""What `sray bench` measures: the paper's form in plain PyTorch beside every quality level, in one process."""
