"""Small scenes in the layouts of public datasets, written from their descriptions, with nothing of the readers."""
