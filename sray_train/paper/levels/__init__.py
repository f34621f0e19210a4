"""Where labels are lost between single pictures and rendered views, and what one would take instead of a renderer.

measure      labels of a target at every level: own picture, rendered, at true depth, with true labels ...
record       the levels of several scenes as a record      picture    such records as a waterfall each
rivals       renderers beside S-Ray, at keyframes and at new viewpoints
"""
