"""Tools around training: bags, checks of data, videos, timings and reports."""
