"""Natural-scene statistics: NIQE and the measures beside it."""
