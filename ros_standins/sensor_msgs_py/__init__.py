"""Stand-in for the official sensor_msgs_py: point clouds as structured NumPy arrays.

Only the subset this project uses; see ros_standins/README.md.
"""

STANDIN = True
"""The official package has no such name: getattr(sensor_msgs_py, "STANDIN", False) tells which of the two runs."""
