"""Architectures in words, models in their framework, and what a model makes of images: frameworks inside functions."""
