"""What `launch/semantic_mapping.launch.py` is made of."""
