"""ROS-free live mapping: keyframes in, labelled views and a fused voxel map out. What the node wraps."""
