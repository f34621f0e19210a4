"""A path through a scene, as pictures, video or cloud."""
