"""From a model's name to files that may be trusted."""
