"""viewer: looking around in what a mapper maps, from a browser."""
