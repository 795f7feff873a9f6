"""What a comparison leaves, and what a reader sees of it; never TensorFlow."""
