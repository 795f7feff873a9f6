"""From a recipe to a network in the library."""
