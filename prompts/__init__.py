"""The standards: one TOML file for each. Installed as zeroiqa.prompts."""
