"""The shipped presets: one TOML file for each."""
