"""`python -m sray_train.cli`, for `torchrun -m`."""

from sray_train.cli import main

main()
