"""The systems that the paper compares itself with, each in SemanticRay's place: see sray.ray_model and systems.py.

Written from the papers' descriptions. Cameras, encoder, sampling, compositing, losses and renderer are this project's,
so that a difference in a table is one of the systems; each file says where it leaves its paper, and why.
"""
