"""Stand-in for ROS 2's `launch_ros`, the subset that this project uses: same names, same behavior.

Only on sys.path where ROS 2 comes from wheels, and at its end: the official package wins wherever it exists.
"""
