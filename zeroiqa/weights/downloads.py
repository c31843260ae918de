"""Weights of models on the disk: what is missing, and how to bring it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from zeroiqa.errors import UserError
from zeroiqa.files.damage import stumbles
from zeroiqa.weights.hub import OFFLINE, FileMissingError, HubRepository, ask, download_file, explained
from zeroiqa.weights.model_files import MOST_INDEX, read_json
from zeroiqa.weights.options import ModelOptions

_CONFIGURATION = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "LICENSE*", "README.md")
_SAFE = ("*.safetensors",)
_PICKLED = ("*.bin", "*.pt", "*.pth")
_CODE = ("*.py",)
_OTHER_FORMATS = ("onnx/*", "original/*", "gguf/*", "openvino/*")
_EITHER = (
    ("config.json",),
    ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json", "spiece.model", "vocab.txt"),
    ("preprocessor_config.json", "processor_config.json"),
)
"""Of each group one file is needed; the first is the usual one. The last is for transformers' processors."""


def missing_files(
    folder: Path | None, *, allow_pickle: bool = False, native: Collection[str] = ()
) -> tuple[str, ...]:
    """Names of the files that a model in this folder lacks; empty if it is complete.

    The index of sharded weights says which shards there must be.

    Args:
        folder: Of a model as transformers saves it; it need not exist. None names all that a model needs.
        allow_pickle: Whether pickled weights will do.
        native: Model types whose processors this package has, so that no files of theirs are needed.
    """
    there = {path.name for path in folder.iterdir()} if folder and folder.is_dir() else set()
    brought = folder is not None and _family(folder) in native
    needed = _EITHER[:-1] if brought else _EITHER
    lacking = [names[0] for names in needed if there.isdisjoint(names)]
    stems = ["model.safetensors", "pytorch_model.bin"] if allow_pickle else ["model.safetensors"]
    weights = [_missing_weights(folder, there, whole) for whole in stems]
    return (*lacking, *min(weights, key=len))


def config_file(repository: HubRepository, *, offline: bool = False) -> Path:
    """config.json of a repository, from the hub if it answers, else from its cache on this machine.

    Raises:
        UserError: the repository is unknown, or the file is neither here nor to be had.
    """
    try:
        return download_file(repository, "config.json", offline=offline)
    except FileMissingError as error:
        if error.reason is None:
            raise UserError(
                f"The repository {repository.repo} holds no config.json: it is no model of transformers; "
                "name one."
            ) from error
        folder = cached_folder(repository)
        raise UserError(how_to_bring(repository.repo, folder, missing_files(folder), error.reason)) from error


def cached_folder(repository: HubRepository) -> Path | None:
    """The model's folder in the hub's cache, complete or not; None if it was never downloaded here."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository.repo, revision=repository.revision, local_files_only=True))
    except LocalEntryNotFoundError as error:  # perhaps it is here, but not whole
        incomplete: str | None = getattr(error, "snapshot_path", None)
        return Path(incomplete) if incomplete else None
    except HFValidationError:
        return None


def pull(
    repository: HubRepository, to: Path | None, options: ModelOptions, *, native: Collection[str] = ()
) -> Path:
    """Download a model's safetensors and configuration files; what is there already is not downloaded again.

    Args:
        repository: The repository.
        to: Folder for the files; None is the hub's cache, where `--rater NAME` finds them.
        options: `offline` only looks whether all is there; `allow_pickle` and `trust_remote_code` bring
            the files of those kinds, too.
        native: As for `missing_files`.

    Returns:
        The folder, complete.

    Raises:
        UserError: something is missing and cannot be fetched; the message says what and how to bring it.
    """
    if options.offline:
        folder = to if to is not None else cached_folder(repository)
        reason: str | None = OFFLINE
    else:
        folder, reason = _download(repository, to, options)
    lacking = missing_files(folder, allow_pickle=options.allow_pickle, native=native)
    if folder is None or lacking:
        raise UserError(how_to_bring(repository.repo, folder, lacking, reason))
    return folder


def how_to_bring(repo: str, folder: Path | None, lacking: tuple[str, ...], reason: str | None) -> str:
    """One sentence on files that are missing, and one on how they come here.

    Args:
        repo: Repository on the hub.
        folder: Where the files should be; None is the hub's cache.
        lacking: Their names.
        reason: Why they cannot be downloaded; None if the repository itself does not have them.
    """
    where = folder if folder is not None else "the cache of the hub"
    found = f"The model {repo} is not complete in {where}: missing {', '.join(lacking)}"
    if reason is None:
        return (
            f"{found}, and the repository has no such files; zeroiqa reads safetensors (--allow-pickle reads "
            "pickled weights, too) of models that transformers runs."
        )
    return (
        f"{found}, and {reason}. On a machine with network run `zeroiqa models pull hf:{repo} --to DIR`, "
        "copy DIR here and use `--rater hf:DIR`."
    )


def _family(folder: Path) -> str:
    """The model type of config.json; empty where there is none."""
    try:
        config = read_json(folder / "config.json")
    except stumbles():
        return ""
    return str(config.get("model_type")) if isinstance(config, dict) else ""


def _missing_weights(folder: Path | None, there: set[str], whole: str) -> tuple[str, ...]:
    if whole in there:
        return ()
    if folder is None or f"{whole}.index.json" not in there:
        return (whole,)
    try:
        index = read_json(folder / f"{whole}.index.json", MOST_INDEX)
        return tuple(sorted(set(index["weight_map"].values()) - there))
    except stumbles():
        return (f"{whole}.index.json",)  # it is there, and cannot be read


def _download(
    repository: HubRepository, to: Path | None, options: ModelOptions
) -> tuple[Path | None, str | None]:
    """The folder as far as it could be filled, and why the hub could not be asked (None if it could)."""
    from huggingface_hub import snapshot_download

    reason = ask(repository)[1]  # first: a download without network succeeds silently into an old folder
    if reason is not None:
        return to or cached_folder(repository), reason
    patterns = [*_CONFIGURATION, *_SAFE]
    patterns += _PICKLED if options.allow_pickle else ()
    patterns += _CODE if options.trust_remote_code else ()
    try:
        folder = snapshot_download(
            repository.repo,
            revision=repository.revision,
            local_dir=to,
            allow_patterns=patterns,
            ignore_patterns=list(_OTHER_FORMATS),
            endpoint=repository.endpoint,
        )
    except Exception as error:
        raise UserError(explained(error, repository)) from error
    return to or Path(folder), None
