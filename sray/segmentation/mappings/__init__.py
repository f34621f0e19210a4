"""Data: what classes of other datasets mean in our label spaces, a YAML file for each. See docs/pseudolabels.md"""
