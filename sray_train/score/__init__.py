"""Scores of a model on pictures it never saw."""
