"""Real data: the registry of data sets and the representations built on them."""
