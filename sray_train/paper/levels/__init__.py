"""Where labels are lost between single pictures and rendered views, and what one would take instead of a renderer.

measure      labels of a target at every level: own picture, rendered, at true depth ...; all of them as a record
rivals       renderers beside S-Ray, at keyframes and at new viewpoints, as a record
tables       both kinds of records as tables               picture    levels as a waterfall
"""
