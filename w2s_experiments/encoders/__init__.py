"""Shipped and pretrained encoders."""
