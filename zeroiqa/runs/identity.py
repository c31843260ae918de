"""What makes a run that run: all that decides a rating, and what was named, as one record with one id."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from zeroiqa.chat.descriptions import request
from zeroiqa.errors import UserError
from zeroiqa.raters import find_rater
from zeroiqa.segmenters import find_segmenter
from zeroiqa.segmenters.granularity import current_name, name_in_ids
from zeroiqa.settings import Settings, settings_from_dict
from zeroiqa.standards import Kind, load_standard

if TYPE_CHECKING:
    from zeroiqa.pipeline import Method

METHOD_VERSION = 2
"""Goes up with every change of the code that moves a score and is named in no id of a segmenter or rater."""

ARITHMETIC = (
    "readout",
    "weighting",
    "lambda",
    "normalize_areas",
    "formula",
    "count_weight",
    "rater_weights",
    "standard_weights",
)
"""The settings that `zeroiqa rescore` changes without computing anything again: they make no other run."""

PLACE_AND_PERMISSION = ("device", "offline", "allow_pickle")
"""Settings that decide where weights are and come from; what they are is said by the raters' ids."""

WARNINGS = ("mass_threshold", "word_mass_threshold")
"""Settings that decide which images have a warning, and move no score."""

PRESENTATION = ("scale",)
"""Settings that decide what tables show beside the scores, and move no score."""

SEGMENTED = "regions"
"""The setting that asks for regions: whether a run has some is said by its `segmenter`."""

LATER = ("min_pixels", "complement_rule", "segmenter_dtype", "describe")
"""Settings that came when there were runs already: one that has its default is in no id."""

_LIBRARIES = {
    "numpy": ("numpy",),
    "opencv": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "pillow": ("pillow",),
    "scipy": ("scipy",),
    "scikit-image": ("scikit-image",),
}
_LIBRARIES_OF_MODELS = {
    name: (name,) for name in ("torch", "torchvision", "transformers", "tokenizers", "sam2")
}


def identity_of(method: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The record that `run_id_of` hashes.

    Args:
        method: From `method_identity`.
        inputs: What was named (`zeroiqa.runs.naming.Naming`), or `zeroiqa.runs.plan.inputs_of` exact images.
    """
    return {**method, "inputs": dict(inputs)}


def method_identity(settings: Settings, method: Method) -> dict[str, Any]:
    """The part of the record that says how, not what: what the names in the settings stand for today.

    Standards are named by their content: the path of a TOML file is not part of the identity. What models
    are asked to describe is there where they are.
    """
    described = {"description": request().id} if settings.describe else {}
    return {
        **described,
        "method_version": METHOD_VERSION,
        "settings": _deciding(settings.to_dict()),
        "decode_policy": method.policy.id,
        "segmenter": None if method.segmenter is None else method.segmenter.id,
        "raters": {name: rater.id for name, rater in method.raters.items()},
        "standards": [
            {
                "name": standard.name,
                "version": standard.version,
                "hash": standard.hash,
                "aspect": standard.aspect,
                "k": standard.k,
            }
            for standard in method.standards
        ],
    }


def as_today(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings, or those in an id, as they are called today, with the defaults of later ones."""
    said = {**_later_defaults(), **stored}
    if isinstance(said.get("granularity"), str):
        said["granularity"] = current_name(said["granularity"])
    return said


def without_arithmetic(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The record without what decides no rating, which those of format 2 have, too."""
    return {**identity, "settings": _deciding(identity["settings"])}


def going_on(settings: Settings, there: Mapping[str, Any]) -> Settings:
    """The settings for a run that is there: it has regions where it had them, whatever lambda is.

    Args:
        settings: By the command, or of the run.
        there: The run's record.
    """
    if there["segmenter"] is None or settings.crop == "whole":
        return settings
    return replace(settings, regions=True)


def own_arithmetic(there: Mapping[str, Any], wanted: Settings) -> Settings:
    """The settings of a run for a command: the command's, but for the arithmetic of the run's scores.csv.

    Args:
        there: The settings in run.json. A run without raters has no scores: the command decides.
        wanted: By the command. Where it adds raters, their weights count, too.
    """
    if not there["raters"]:
        return wanted
    own = settings_from_dict(there, "the run").to_dict()  # with what an older run.json does not say
    more = tuple(there["raters"]) != wanted.raters
    kept = {key: own[key] for key in ARITHMETIC if not (more and key == "rater_weights")}
    return settings_from_dict({**wanted.to_dict(), **kept}, "the run")


def run_id_of(identity: Mapping[str, Any]) -> str:
    """SHA-256 of the record's canonical JSON, in hex."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Field -> its two values, without the images. Settings come alone if they explain the rest."""
    return _unequal(_chosen(there), _chosen(here)) or _unequal(_resolved(there), _resolved(here))


def check_version(folder: object, there: Mapping[str, Any]) -> None:
    """Refuse to add scores of this version of the method to a run that another one began.

    Args:
        folder: The run's, for the message.
        there: The run's record.

    Raises:
        UserError: the versions differ.
    """
    began = there["method_version"]
    if began != METHOD_VERSION:
        raise UserError(
            f"{folder} was begun with version {began} of the method, and this is version {METHOD_VERSION}, "
            "whose scores differ: choose another folder with -o and score all images there; what the old run "
            "holds can still be read (status, evaluate, compare, rescore, verify)."
        )


def without_additions(here: Mapping[str, Any], there: Mapping[str, Any]) -> Mapping[str, Any]:
    """`here` without the raters, and the regions, that it has beyond those of `there`.

    It equals `there` exactly if it is the same run with more of them. Where a rater of `there` is missing,
    the raters stay as they are.
    """
    if there["segmenter"] is None:
        here = {**here, "segmenter": None}
    if not there["raters"].keys() < here["raters"].keys():
        return here
    return {
        **here,
        "settings": {**here["settings"], "raters": there["settings"]["raters"]},
        "raters": {name: here["raters"][name] for name in there["raters"]},
    }


def environment(settings: Settings) -> dict[str, str]:
    """Versions of what computes regions and ratings; a resume with others brings a warning."""
    versions = {"python": platform.python_version()}
    segments = settings.makes_regions and find_segmenter(settings.segmenter).needs_weights
    models = segments or any(find_rater(name).needs_weights for name in settings.raters)
    of_models = _LIBRARIES_OF_MODELS if models else {}
    for library, packages in {**_LIBRARIES, **of_models}.items():
        for package in packages:
            try:
                versions[library] = _installed(package)
                break
            except PackageNotFoundError:
                continue
    return versions


@cache
def _installed(package: str) -> str:
    """Its version, read once: a run asks at each of its steps."""
    return version(package)


def kinds_of(settings: Settings, identity: Mapping[str, Any]) -> dict[str, Kind]:
    """The standards' kinds, for a run.json that does not say them; words where a file is gone or changed."""
    kinds: dict[str, Kind] = {each["name"]: "word" for each in identity["standards"]}
    hashes = {each["hash"] for each in identity["standards"]}
    for name in settings.standards:
        with suppress(UserError):
            standard = load_standard(name)
            if standard.hash in hashes:
                kinds[standard.name] = standard.kind
    return kinds


def _deciding(fields: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ("standards", SEGMENTED, *ARITHMETIC, *PLACE_AND_PERMISSION, *WARNINGS, *PRESENTATION)
    deciding = {key: value for key, value in fields.items() if key not in left_out}
    for key, default in _later_defaults().items():
        if deciding.get(key) == default:
            del deciding[key]
    if isinstance(deciding.get("granularity"), str):
        deciding["granularity"] = name_in_ids(deciding["granularity"])
    return deciding


def _later_defaults() -> dict[str, Any]:
    return {field.name: field.default for field in dataclass_fields(Settings) if field.name in LATER}


def _chosen(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What the user has said."""
    return {
        **as_today(identity["settings"]),
        "standards": [standard["name"] for standard in identity["standards"]],
    }


def _resolved(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What the names in that stood for."""
    return {
        **{key: identity[key] for key in ("method_version", "decode_policy", "segmenter")},
        **{key: identity[key] for key in ("description",) if key in identity},
        **{f"rater {name}": rater for name, rater in identity["raters"].items()},
        **{
            f"standard {each['name']}": f"{each['version']}:{each['hash'][:12]}"
            for each in identity["standards"]
        },
    }


def _unequal(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    keys = dict.fromkeys((*there, *here))
    return {key: (there.get(key), here.get(key)) for key in keys if there.get(key) != here.get(key)}
