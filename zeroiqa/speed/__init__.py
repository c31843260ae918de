"""What a run costs: measured, counted and forecast."""
