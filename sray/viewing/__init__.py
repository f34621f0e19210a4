"""Looking around in a browser: the map, the keyframes, and what a camera anywhere would see. Knows nothing of ROS.

A `Source` has the map and renders; the `Viewer` shows it in browsers through viser, which the extra `viewer` installs.
"""
