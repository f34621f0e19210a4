"""The node `semantic_mapper`: a posed camera stream in, labels of any viewpoint out."""
