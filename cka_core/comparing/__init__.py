"""From two networks to one Comparison."""
