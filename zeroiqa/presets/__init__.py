"""The shipped presets: one TOML file for each."""

from importlib import resources


def preset_names() -> list[str]:
    """Names of the presets in the package."""
    return sorted(
        item.name.removesuffix(".toml")
        for item in resources.files("zeroiqa.presets").iterdir()
        if item.name.endswith(".toml")
    )
