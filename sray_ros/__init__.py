"""ROS 2 nodes around `sray`: messages in, messages out; no maths of their own."""
