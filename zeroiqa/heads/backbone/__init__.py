"""Any chat model as the backbone of a head."""
