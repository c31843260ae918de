"""The one place that imports OpenCV: write `from zeroiqa.images.opencv import cv2`.

opencv-python links against libGL and GLib, which slim containers and servers lack; its import then fails with
a loader error that does not say what to do. Here it becomes one sentence that does.
"""

import re
from typing import Any

from zeroiqa.errors import UserError

__all__ = ["cv2"]

try:
    import cv2 as _cv2
except ImportError as error:
    library = re.match(r"(lib[\w.+-]+): cannot open shared object file", str(error))
    if library:
        raise UserError(
            f"OpenCV cannot start: {library[1]} is missing; install the system package "
            "(Debian/Ubuntu: apt install libgl1 libglib2.0-0) or replace opencv-python by "
            "opencv-python-headless (pip uninstall -y opencv-python && pip install opencv-python-headless)."
        ) from error
    raise UserError(
        f"OpenCV cannot be imported ({error}); install it again "
        "(pip install --force-reinstall opencv-python-headless)."
    ) from error

cv2: Any = _cv2  # its stubs know no dtypes and refuse scalars; the modules that use it state what they get
