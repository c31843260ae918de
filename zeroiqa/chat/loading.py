"""Loads a model and its processor: completely, from safetensors, without foreign code, or not at all."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from zeroiqa.chat.native import FAMILIES, check_attention, find_native, is_native
from zeroiqa.chat.prompt import read_template
from zeroiqa.errors import UserError, one_line
from zeroiqa.weights.checkpoint import PICKLED, Checkpoint, find_checkpoint
from zeroiqa.weights.checks import check_tensors, quiet_transformers, transformers
from zeroiqa.weights.devices import check_memory, find_device, find_dtype, is_out_of_memory
from zeroiqa.weights.downloads import pull
from zeroiqa.weights.hub import HubRepository

if TYPE_CHECKING:
    import torch

    from zeroiqa.weights.options import ModelOptions

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run."""

    name: str
    """What the user called it."""
    family: str
    """The architecture as transformers names it."""
    model: Any
    """In evaluation mode, on its device."""
    processor: Any
    """Its tokenizer pads on the left."""
    device: torch.device
    dtype: torch.dtype
    """Of the activations."""
    fingerprint: str
    """Names the weights."""


def load(repo_or_folder: str, options: ModelOptions, revision: str | None = None) -> Loaded:
    """Load a chat vision-language model.

    Args:
        repo_or_folder: A folder, or a repository of the Hugging Face hub.
        options: Device, type of the weights and what is allowed.
        revision: Branch, tag or commit of the repository.

    Raises:
        UserError: files, a package, the network or memory are missing, the model reads no images, tensors are
            missing or too many, or the device or the type does not exist.
    """
    checkpoint = find_checkpoint(repo_or_folder, revision, offline=options.offline, replies=options.replies)
    check_family(checkpoint, options)
    _check_generates(checkpoint)
    if options.trust_remote_code and not is_native(checkpoint.family):
        _LOG.warning("Python code that comes with %s may be run now (--trust-remote-code).", repo_or_folder)
    if checkpoint.commit:
        source = HubRepository(checkpoint.name, checkpoint.commit, replies=options.replies)
        pull(source, None, options, native=FAMILIES)
    checkpoint.check_files()
    device = find_device(options.device)
    dtype = find_dtype(options.dtype, device)
    with quiet_transformers():
        processor = _load_processor(checkpoint, options)
        read_template(processor, repo_or_folder)  # refuses what cannot be asked before the weights are read
        width = 1 if options.load_in_8bit else dtype.itemsize
        check_memory(repo_or_folder, width * checkpoint.count_weights(), device)
        model = _load_model(checkpoint, options, device, dtype)
    return Loaded(
        name=repo_or_folder,
        family=checkpoint.family,
        model=model,
        processor=processor,
        device=device,
        dtype=dtype,
        fingerprint=checkpoint.fingerprint(),
    )


def check_family(checkpoint: Checkpoint, options: ModelOptions) -> None:
    """Refuse an architecture that is not offered for images and text, from the config alone.

    Raises:
        UserError: it is unknown, reads no images, needs Python code that is not allowed to run, or another
            implementation of attention.
    """
    if is_native(checkpoint.family):  # the code that its configuration refers to is not needed
        check_attention(checkpoint.name, options.attn)
        return
    known = transformers("models.auto.configuration_auto").CONFIG_MAPPING_NAMES
    with_images = transformers("models.auto.modeling_auto").MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    name, family = checkpoint.name, checkpoint.family
    if family in with_images or (checkpoint.has_own_code and options.trust_remote_code):
        return
    if checkpoint.has_own_code:
        raise UserError(
            f"{name} needs Python code of its own, which is not run; if you trust it, allow it with "
            "--trust-remote-code, or choose a model that transformers knows."
        )
    if family in known:
        raise UserError(
            f"{name} is a {family} model, which transformers does not offer for images and text together; "
            "choose a chat vision-language model."
        )
    raise UserError(
        f"{name} is a {family} model, which this version of transformers does not know; install a newer "
        "transformers or choose another model."
    )


def _check_generates(checkpoint: Checkpoint) -> None:
    """Refuse an architecture that writes other than token by token: it has no distribution to read."""
    auto = transformers("models.auto.modeling_auto").MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    try:
        model = getattr(transformers(), auto.get(checkpoint.family, ""))
    except Exception:  # own code, or a package is missing: what is wrong is said when the model is loaded
        return
    if issubclass(model, transformers().PreTrainedModel) and not issubclass(
        model, transformers().GenerationMixin
    ):
        raise UserError(
            f"{checkpoint.name} is a {checkpoint.family} model, which does not answer token by token, so "
            "there is no next token to read a level from; choose a chat vision-language model."
        )


def _load_processor(checkpoint: Checkpoint, options: ModelOptions) -> Any:
    native = find_native(checkpoint.family)
    try:
        if native is not None:
            processor = native.processor.from_pretrained(checkpoint.folder)
        else:
            processor = transformers().AutoProcessor.from_pretrained(checkpoint.folder, **_allowed(options))
    except UserError:
        raise
    except ImportError as error:
        raise _package_missing(checkpoint.name, error) from error
    except Exception as error:
        raise UserError(
            f"The processor of {checkpoint.name} cannot be built ({one_line(error)}); fetch the model again "
            "or choose another one."
        ) from error
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or getattr(processor, "image_processor", None) is None:
        raise UserError(
            f"{checkpoint.name} reads no images: its processor is a {type(processor).__name__}; choose a "
            "vision-language model."
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def _load_model(
    checkpoint: Checkpoint, options: ModelOptions, device: torch.device, dtype: torch.dtype
) -> Any:
    native = find_native(checkpoint.family)
    kind = native.model if native is not None else transformers().AutoModelForImageTextToText
    try:
        model, report = kind.from_pretrained(
            checkpoint.folder,
            dtype=dtype,
            use_safetensors=None if options.allow_pickle else True,
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # to list them all; they are refused below
            **_allowed(options),
            **_implementation(options, device),
        )
        check_tensors(checkpoint.name, report)
        if not options.load_in_8bit:
            model = model.to(device)
    except UserError:
        raise
    except ImportError as error:
        raise _package_missing(checkpoint.name, error) from error
    except Exception as error:
        raise _load_error(checkpoint, options, device, error) from error
    return model.eval().requires_grad_(False)


def _allowed(options: ModelOptions) -> dict[str, Any]:
    return {"trust_remote_code": options.trust_remote_code, "local_files_only": options.offline}


def _implementation(options: ModelOptions, device: torch.device) -> dict[str, Any]:
    chosen: dict[str, Any] = {} if options.attn == "auto" else {"attn_implementation": options.attn}
    if options.load_in_8bit:
        _check_quantisation(device)
        chosen["quantization_config"] = transformers().BitsAndBytesConfig(load_in_8bit=True)
        chosen["device_map"] = {"": device}
    return chosen


def _check_quantisation(device: torch.device) -> None:
    if device.type not in ("cuda", "cpu"):
        raise UserError(
            f"8-bit weights need a CUDA device or the CPU, found {device}; leave out --load-in-8bit or "
            "choose another device (--device)."
        )
    missing = [package for package in ("bitsandbytes", "accelerate") if find_spec(package) is None]
    if missing:
        raise UserError(
            f"8-bit weights need what is missing here: {' and '.join(missing)}; install it (pip install "
            f"{' '.join(missing)}) or leave out --load-in-8bit."
        )


def _package_missing(name: str, error: ImportError) -> UserError:
    reason = one_line(error).rstrip(".")
    return UserError(
        f"{name} needs a package that is missing ({reason}); install it or choose another model."
    )


def _load_error(
    checkpoint: Checkpoint, options: ModelOptions, device: torch.device, error: Exception
) -> UserError:
    """One sentence for whatever goes wrong on the way from the disk to the device."""
    name, text = checkpoint.name, str(error)
    if is_out_of_memory(error):
        return UserError(
            f"There is not enough memory on {device} for the weights of {name}; choose a smaller model, "
            "8-bit weights (--load-in-8bit) or another device (--device)."
        )
    pickled = sorted(path.name for pattern in PICKLED for path in checkpoint.folder.glob(pattern))
    if pickled and not options.allow_pickle and not any(checkpoint.folder.glob("*.safetensors")):
        return UserError(
            f"{name} has pickled weights only ({pickled[0]}), which are not read; choose a copy in "
            "safetensors, or allow them with --allow-pickle."
        )
    if isinstance(error, OSError) and "safetensors" in text:
        return UserError(
            f"{name} holds no weights (*.safetensors), or not all of them ({one_line(error)}); fetch the "
            "model again, for example with `zeroiqa models pull NAME --to DIR`."
        )
    return UserError(f"{name} cannot be loaded ({one_line(error)}); fetch it again or choose another model.")
