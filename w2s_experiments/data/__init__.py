"""Data sets: where they come from, and one reader each."""
