"""Work in another process: stands above all that it can run, and only its worker may bring TensorFlow in."""
