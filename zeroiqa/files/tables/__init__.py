"""Tables of every format: one reader, one writer."""
