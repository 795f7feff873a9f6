"""What a study asked and found, and what a reader sees of it; never TensorFlow."""
