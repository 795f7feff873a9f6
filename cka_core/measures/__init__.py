"""Arrays in, numbers out: NumPy, SciPy and threadpoolctl only, and nothing else of this package."""
