"""`sray data check`: what is wrong with a recording, found on a sample of its frames before hours are spent on it."""
