"""Which images there are, and which of them a comparison uses."""
