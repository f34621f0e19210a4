"""What the paper reports, made again: the systems it compares with, its studies, tables and figures."""
