"""Stand-in for the `ros2` command where ROS 2 comes from wheels: launch, run, and bag play."""
