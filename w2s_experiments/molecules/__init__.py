"""Molecules: SMILES, descriptors, pretrained encoders, and the experiments on them."""
