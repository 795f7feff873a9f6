"""Files, locks and progress: knows no network, no image and no Gram matrix."""
