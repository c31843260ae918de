"""OpenAI's CLIP with a ResNet, loaded: completely, and computed in float32."""

from __future__ import annotations

import logging
import math
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from zeroiqa.baselines.clip.model import device_errors
from zeroiqa.baselines.clip.openai_network import Tensors, image_features, shapes, text_features
from zeroiqa.errors import UserError, one_line, printable
from zeroiqa.weights.checks import check_tensors
from zeroiqa.weights.devices import check_memory, find_device, is_out_of_memory
from zeroiqa.weights.model_files import check_archive
from zeroiqa.weights.safetensors_header import count_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zeroiqa.baselines.clip.openai_files import OpenAiSource
    from zeroiqa.weights.options import ModelOptions

_LOG = logging.getLogger(__name__)
_BYTES = 4  # of a float32
_VOCABULARY = 49408  # of CLIP's tokenizer
_LONGEST = 6  # tokens of a text that is asked here
_UNUSED = ("num_batches_tracked", "input_resolution", "context_length", "vocab_size")
"""How names of tensors end that hold no weights, or none that are read here."""
_POSITIONS = "visual.attnpool.positional_embedding"


@dataclass(frozen=True)
class OpenAiClip:
    """A CLIP with a ResNet that is ready to run."""

    name: str
    """What the user called it."""
    tensors: Tensors
    """Under OpenAI's names, float32, on the device."""
    device: torch.device

    @property
    def scale(self) -> float:
        """exp of the learned logit scale; 100 for OpenAI's weights."""
        return math.exp(float(self.tensors["logit_scale"]))

    @torch.inference_mode()
    def image_features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of normalised pictures, shape (N, 3, height, width): float64, shape (N, features).

        Raises:
            UserError: the device fails, or its memory is full.
        """
        # a GPU would round the factors of its convolutions to 10 bits otherwise
        with (
            device_errors(self.device, self.name),
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
        ):
            return image_features(self.tensors, pixels.to(self.device)).double().cpu()

    @torch.inference_mode()
    def text_features(self, texts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Unit features of texts, given as ids of tokens: float64, shape (N, features).

        Raises:
            UserError: the device fails, or its memory is full.
        """
        with device_errors(self.device, self.name):
            found = torch.stack([text_features(self.tensors, ids) for ids in texts]).double().cpu()
        return torch.nn.functional.normalize(found, dim=1)


def load_openai_clip(source: OpenAiSource, options: ModelOptions) -> OpenAiClip:
    """Load a CLIP with a ResNet.

    Raises:
        UserError: the file or memory is missing, tensors are missing, too many or of another shape, it is of
            another architecture, or there is no such device.
    """
    name = source.name
    if options.dtype not in ("auto", "float32") or options.load_in_8bit:
        _LOG.warning("%s computes in float32; --dtype and --load-in-8bit are for other models.", name)
    path, device = source.file(offline=options.offline), find_device(options.device)
    if path.suffix == ".safetensors":
        check_memory(name, _BYTES * count_numbers(path), device)
    try:
        stored = _read(path)
        _check(name, stored)
        # copied: a file's own memory may lie askew, and the last bits of a sum depend on that
        tensors = {key: tensor.to(device, torch.float32, copy=True) for key, tensor in stored.items()}
    except UserError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(f"There is not enough memory for {name}; choose another device.") from error
        raise UserError(
            f"{printable(str(path))} cannot be loaded ({one_line(error)}); fetch it again or choose another "
            "one."
        ) from error
    return OpenAiClip(name, tensors, device)


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that are read here."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        found: Mapping[str, torch.Tensor] = load_file(path)
    elif _is_program(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # OpenAI's file will not change its format
            program: Any = torch.jit
            found = program.load(path, map_location="cpu").state_dict()
    else:
        check_archive(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, Mapping) or not all(isinstance(each, torch.Tensor) for each in found.values()):
        raise ValueError("it holds no list of tensors")
    return {name: found[name] for name in found if name != _POSITIONS and not name.endswith(_UNUSED)}


def _is_program(path: Path) -> bool:
    """Whether a file is one of TorchScript."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _check(name: str, tensors: Tensors) -> None:
    """Refuse another architecture, and tensors that are not those of one model."""
    try:
        wanted = shapes(tensors)
    except (KeyError, ValueError, IndexError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else "its tensors have other axes"
        if "visual.class_embedding" in tensors:
            why = "it has a vision transformer"
        raise UserError(
            f"{name} is no CLIP with a ResNet under OpenAI's tensor names ({why}); give one such as OpenAI's "
            "RN50."
        ) from error
    report = {
        "missing_keys": wanted.keys() - tensors.keys(),
        "unexpected_keys": tensors.keys() - wanted.keys(),
        "mismatched_keys": [
            (key,) for key in wanted.keys() & tensors.keys() if tuple(tensors[key].shape) != wanted[key]
        ],
    }
    check_tensors(name, report)
    channels = wanted["visual.attnpool.q_proj.bias"][0], wanted["ln_final.bias"][0]
    vocabulary, places = wanted["token_embedding.weight"][0], wanted["positional_embedding"][0]
    if any(number % 64 or not number for number in channels) or vocabulary < _VOCABULARY or places < _LONGEST:
        raise UserError(
            f"{name} has {channels[0]} and {channels[1]} channels before its features, {vocabulary:,} tokens "
            f"and texts of {places}; OpenAI's models have multiples of 64, {_VOCABULARY:,} and 77: give one "
            "of them."
        )
