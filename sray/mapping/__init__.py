"""ROS-free live mapping: keyframes in, labeled views and a fused voxel map out. What the node wraps."""
