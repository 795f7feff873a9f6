"""Everything that has a name: found, listed, renamed, brought in and thrown away."""
