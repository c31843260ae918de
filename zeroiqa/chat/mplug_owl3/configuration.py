"""The configuration of mPLUG-Owl3, read from the hub's config.json as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from safetensors import safe_open
from transformers import PretrainedConfig, SiglipVisionConfig
from transformers.models.qwen2.configuration_qwen2 import Qwen2Config

from zeroiqa.errors import UserError
from zeroiqa.files.damage import reading

VERSIONS = ("240728", "241101")
"""The two releases of mPLUG-Owl3-7B: same name, different networks."""
_MARKS = {"gate_proj.0.weight": "240728", "vision2text_model.2.weight": "241101"}
_HEAD = "vision_model.head."


class MplugOwl3Config(Qwen2Config):  # type: ignore[no-untyped-call]
    """Sizes of the language model (Qwen2, at the top level) and of the vision encoder (SigLIP).

    What the hub's file leaves out of `vision_config` has SigLIP's defaults. Entries that name Python code
    (`auto_map`) are kept and not followed.
    """

    model_type = "mplugowl3"
    sub_configs_defaults: ClassVar[dict[str, Any]] = {"vision_config": SiglipVisionConfig}

    vision_config: dict[str, Any] | PretrainedConfig | None = None
    hyper_layers: list[int] | tuple[int, ...] = ()
    """The layers that look at the images, counted from 1 as on the hub."""
    version: str | None = None
    """One of `VERSIONS`; the hub's file does not say it, its tensors do: see `with_tensors_of`."""
    vision_batch_size: int = 16
    """How many pictures go through the vision encoder at once; it bounds memory and changes no number."""

    @property
    def hyper_indices(self) -> frozenset[int]:
        """The layers that look at the images, counted from 0."""
        return frozenset(layer - 1 for layer in self.hyper_layers)

    @property
    def is_gated(self) -> bool:
        """Whether visual attention is apart from textual and gated (240728), or one with it (241101).

        Raises:
            UserError: the version is not known.
        """
        if self.version not in VERSIONS:
            raise UserError(
                f"The configuration names no version of mPLUG-Owl3 (found {self.version!r}); set `version` "
                f"to {' or '.join(VERSIONS)}."
            )
        return self.version == "240728"


def with_tensors_of(config: MplugOwl3Config, folder: Path) -> MplugOwl3Config:
    """Complete a configuration by what only the names of the tensors tell: the version, and the unused head.

    Args:
        config: Of any origin; changed and returned.
        folder: Holds the weights as *.safetensors.

    Raises:
        UserError: there are no weights, or those of neither version.
    """
    names = _tensor_names(folder)
    found = {version for mark, version in _MARKS.items() if any(name.endswith(mark) for name in names)}
    if len(found) != 1:
        raise UserError(
            f"The weights in {folder} are not those of mPLUG-Owl3-7B-{' or -'.join(VERSIONS)} (tensors "
            f"{' and '.join(_MARKS)} tell them apart, found {'both' if found else 'neither'}); fetch the "
            "model again or choose another one."
        )
    config.version = found.pop()
    vision: Any = config.vision_config
    vision.vision_use_head = any(name.startswith(_HEAD) for name in names)
    return config


def _tensor_names(folder: Path) -> set[str]:
    names: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        with reading(path, "fetch the model again"), safe_open(path, framework="pt") as file:
            names.update(file.keys())
    if not names:
        raise UserError(
            f"{folder} holds no weights (*.safetensors); fetch the model again, for example with `zeroiqa "
            "models pull NAME --to DIR`."
        )
    return names
