"""The version of this package. pyproject.toml says it too, which is not there where the package is installed."""

VERSION = "0.3.0"
