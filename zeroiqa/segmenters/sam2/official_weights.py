"""Finds SAM 2's checkpoints, and builds models as the package's `build_sam2` does, without Hydra's globals.

Importing the package sam2 initialises Hydra for the whole process, which breaks the `hydra.initialize` of
whoever uses Hydra besides. Here it is imported while Hydra is believed to be initialised already. Who calls
the package's own `build_sam2` afterwards initialises Hydra first: `hydra.initialize_config_module("sam2")`.
"""

from __future__ import annotations

import hashlib
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from zeroiqa.errors import UserError, one_line
from zeroiqa.segmenters.sam2.official_cards import Card, not_what_is_named, recognised
from zeroiqa.segmenters.sam2.official_cards import cards as cards
from zeroiqa.segmenters.sam2.official_yaml import check_numbers, check_text
from zeroiqa.weights.devices import check_memory, is_out_of_memory
from zeroiqa.weights.fingerprint import file_hash
from zeroiqa.weights.hub import OFFLINE, FileMissingError, HubRepository, ask, download_file
from zeroiqa.weights.model_files import check_archive
from zeroiqa.weights.replies import Replies

_MODEL = "sam2.modeling.sam2_base.SAM2Base"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHOWN = 3  # tensors of each kind in a message
_POSTPROCESSING = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}
"""What `build_sam2` sets: the single mask gives way to the best of three where it is not stable."""


@dataclass(frozen=True)
class Sam2Checkpoint:
    """A model's files, on the disk or on the hub."""

    name: str
    """What the user called it."""
    fingerprint: str
    """Names the weights: a commit, or the SHA-256 (hex) of the configuration and of the whole file."""
    config: Path | None
    """The configuration (YAML); None if the tensors have to tell the architecture."""
    file: Path | None
    """The weights; None if they are still on the hub."""
    source: HubRepository | None = None
    """Where they are on the hub; None for files of the user's own."""


def find_checkpoint(
    name: str, argument: str | None, *, offline: bool = False, replies: Replies | None = None
) -> Sam2Checkpoint:
    """Find the files behind a segmenter's name; no weights are read.

    Args:
        name: Of a card, or "sam2".
        argument: The file or, for "sam2", the file or the folder. None stands for the card's file on the hub.
        offline: Never reach for the network.
        replies: What the hub has replied already.

    Raises:
        UserError: there is no such file or folder, or the hub's file is neither here nor to be had.
    """
    path = None if argument is None else Path(argument).expanduser()
    if name in cards():
        card = cards()[name]
        if path is None:
            return _on_hub(card, offline, replies)
        if not path.is_file():
            raise UserError(f"There is no file {path}; write {name}:FILE.pt with the path of a checkpoint.")
        return Sam2Checkpoint(name, _hash(path), package_file(card.config), path)
    if path is None or not argument:
        raise UserError(
            f"The segmenter {name} needs a checkpoint: write {name}:FILE.pt, {name}:FOLDER with config.yaml "
            f"and a .pt file, or one of {', '.join(cards())}."
        )
    if path.is_dir():
        return _in_folder(name, path)
    if not path.is_file():
        raise UserError(f"There is no file or folder {path}; write {name}:FILE.pt or {name}:FOLDER.")
    return Sam2Checkpoint(name, _hash(path), None, path)


def load_model(checkpoint: Sam2Checkpoint, device: torch.device) -> Any:
    """The model with its weights, in float32 and evaluation mode.

    Raises:
        UserError: a file cannot be had or read, its tensors are not the model's, or memory is short.
    """
    file = checkpoint.file or _download(checkpoint)
    tensors = _read_tensors(file)
    config = checkpoint.config or package_file(recognised(tensors, file).config)
    size = sum(tensor.numel() * 4 for tensor in tensors.values())
    check_memory(str(file), size, torch.device("cpu"))
    model = build_model(config)
    wanted = model.state_dict()
    if another := not_what_is_named(tensors, wanted, file, checkpoint.name):
        raise UserError(another)
    _check_tensors(tensors, wanted, f"The checkpoint {file}", checkpoint.name)
    model.load_state_dict(tensors)
    try:
        return model.to(device).eval()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"The device {device} has no memory for {file}; choose a smaller model (sam2.1-tiny) or another "
            "device (--device)."
        ) from error


def build_model(config: Path) -> Any:
    """The architecture of a configuration with random weights; PyTorch's random state is left as it was.

    Raises:
        UserError: the configuration cannot be read or is not one of SAM 2.
    """
    omegaconf = import_module("omegaconf")
    try:
        check_text(config)
        cfg = omegaconf.OmegaConf.load(config)
        check_numbers(config, omegaconf.OmegaConf.to_container(cfg))
        for key, value in _POSTPROCESSING.items():
            omegaconf.OmegaConf.update(cfg, f"model.sam_mask_decoder_extra_args.{key}", value, force_add=True)
        omegaconf.OmegaConf.resolve(cfg)
        root, targets = cfg.model.get("_target_"), set(_targets(cfg.model))
    except UserError:
        raise
    except Exception as error:  # OSError, YAML's, OmegaConf's, and whatever a list brings about
        raise UserError(f"The configuration {config} cannot be read ({one_line(error)}).") from error
    foreign = sorted(targets - _known_targets())
    if foreign or root != _MODEL:
        raise UserError(
            f"The configuration {config} is not one of SAM 2's image models: it should call {_MODEL} and its "
            f"parts, found {', '.join(foreign) or root}; give one like configs/sam2.1/sam2.1_hiera_t.yaml of "
            "the package sam2."
        )
    import_sam2("modeling.sam2_base")
    try:
        with torch.random.fork_rng(devices=[]):
            return import_module("hydra.utils").instantiate(cfg.model, _recursive_=True)
    except Exception as error:  # of Hydra, around that of a constructor
        raise UserError(
            f"No model can be built of the configuration {config} ({one_line(error)})."
        ) from error


def import_sam2(module: str) -> Any:
    """A module of the package sam2; Hydra stays as it is.

    Raises:
        UserError: the package is not installed.
    """
    try:
        hydra = import_module("hydra.core.global_hydra").GlobalHydra.instance()
        before = hydra.hydra
        try:
            if "sam2" not in sys.modules and before is None:
                hydra.hydra = object()  # the package initialises Hydra only if nobody else has
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return import_module(f"sam2.{module}")
        finally:
            hydra.hydra = before
    except ImportError as error:
        raise UserError(f"SAM 2 needs the package sam2 ({error}); install it: pip install sam2.") from error


def _on_hub(card: Card, offline: bool, replies: Replies | None) -> Sam2Checkpoint:
    source = HubRepository(card.repo, replies=replies)
    commit, reason = (None, OFFLINE) if offline else ask(source)
    config = package_file(card.config)
    if commit is not None:
        return Sam2Checkpoint(card.name, commit, config, None, replace(source, revision=commit))
    try:
        file = download_file(source, card.file, offline=True)
    except FileMissingError as error:
        raise UserError(_how_to_bring(card, reason)) from error
    found = next((part for part in reversed(file.parts) if _COMMIT.fullmatch(part)), "main")
    return Sam2Checkpoint(card.name, found, config, file, source)


def _download(checkpoint: Sam2Checkpoint) -> Path:
    assert checkpoint.source is not None, "without a file there is a source"
    card = cards()[checkpoint.name]
    try:
        # by the branch's name, so that the cache knows it without network; then, if it has moved, by commit
        file = download_file(replace(checkpoint.source, revision=None), card.file)
        return file if checkpoint.fingerprint in file.parts else download_file(checkpoint.source, card.file)
    except FileMissingError as error:
        raise UserError(_how_to_bring(card, error.reason)) from error


def _how_to_bring(card: Card, reason: str | None) -> str:
    why = reason or "the repository has no such file"
    return (
        f"The checkpoint {card.file} of {card.repo} is not in the cache of the hub, and {why}. Download the "
        f"file on a machine with network (https://huggingface.co/{card.repo}), copy it here and use "
        f"`--segmenter {card.name}:{card.file}`."
    )


def _in_folder(name: str, folder: Path) -> Sam2Checkpoint:
    config = folder / "config.yaml"
    files = sorted(folder.glob("*.pt"))
    if not config.is_file() or len(files) != 1:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise UserError(f"The folder {folder} should hold config.yaml and one .pt file, found {there}.")
    return Sam2Checkpoint(name, _hash(files[0], config.read_bytes()), config, files[0])


def _hash(file: Path, described: bytes = b"") -> str:
    """Of content alone: a file that is renamed stays the same."""
    return hashlib.sha256(described + b"\0" + file_hash(file).encode()).hexdigest()


def package_file(path: str) -> Path:
    """A file of the package sam2, which is not imported for it.

    Raises:
        UserError: the package is not installed.
    """
    spec = find_spec("sam2")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("SAM 2 needs the package sam2; install it: pip install sam2.")
    return Path(spec.submodule_search_locations[0]) / path


@cache
def _known_targets() -> set[str]:
    """The classes that the package's own configurations call; others could run anything."""
    load = import_module("omegaconf").OmegaConf.load
    return {target for card in cards().values() for target in _targets(load(package_file(card.config)))}


def _targets(node: Any) -> Iterator[str]:
    """Everything that a configuration would call."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "_target_":
                yield str(value)
            else:
                yield from _targets(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from _targets(value)


def _read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint in the layout of the official ones."""
    check_archive(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of the unpickler, of the archive reader, of the disk
        raise UserError(
            f"The file {file} is no checkpoint that PyTorch reads with weights_only, or it is damaged "
            f"({one_line(error).partition('. ')[0]}); fetch it again."
        ) from error
    tensors = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not all(isinstance(x, torch.Tensor) for x in tensors.values()):
        found = ", ".join(map(str, list(content)[:_SHOWN])) if isinstance(content, Mapping) else ""
        raise UserError(
            f"The file {file} is no checkpoint of SAM 2: its tensors should be in an entry 'model', found "
            f"{found or type(content).__name__}; give a file like sam2.1_hiera_tiny.pt."
        )
    return dict(tensors)


def _check_tensors(
    found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], whose: str, name: str
) -> None:
    differing = [
        f"{key} is {tuple(found[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    problems = {
        "missing": [key for key in wanted if key not in found],
        "unexpected": [key for key in found if key not in wanted],
        "of another shape": differing,
    }
    faults = [
        f"{len(keys)} {kind} ({', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''})"
        for kind, keys in problems.items()
        if keys
    ]
    if faults:
        raise UserError(
            f"{whose} does not fit the model {name}, tensors: {'; '.join(faults)}. Give the checkpoint of "
            "this model, or name the model of this checkpoint."
        )
