"""How well scores agree with people: data sets, metrics, significance and tables."""
