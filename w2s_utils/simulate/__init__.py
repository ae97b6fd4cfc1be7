"""Drawing the experiments of the papers: synthetic features with known geometry."""
