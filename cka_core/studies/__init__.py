"""Carries a study out: where training and comparing meet."""
