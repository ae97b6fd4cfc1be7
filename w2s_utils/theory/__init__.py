"""What the two papers prove, as pure functions of arrays and numbers."""
