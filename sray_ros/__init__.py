"""ROS 2 nodes around `sray`: messages in, messages out; no math of their own."""

import os

# Read by OpenMP when torch is imported. Threads that wait for each other sleep: spinning, they take the processor from
# whoever else needs it, and where it is busy they wait for each other for seconds.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
