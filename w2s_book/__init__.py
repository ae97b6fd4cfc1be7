"""The machine of the book: execute, build, show."""
