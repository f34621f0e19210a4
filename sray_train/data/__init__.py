"""Where training and evaluation data come from; every source yields `sray.frames.Frame`."""
