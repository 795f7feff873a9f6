"""The version of this package. pyproject.toml takes it from here: a checkout knows it, too."""

VERSION = "0.3.0"
