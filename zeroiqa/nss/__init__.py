"""Natural-scene statistics: naturalness and the measures beside it."""
