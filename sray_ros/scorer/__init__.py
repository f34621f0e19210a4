"""The node `label_scorer`: label images compared with ground truth."""
