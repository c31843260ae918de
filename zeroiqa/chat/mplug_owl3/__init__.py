"""mPLUG-Owl3-7B, releases 240728 and 241101: a native port for transformers 5, without code of the hub's."""

from zeroiqa.chat.mplug_owl3.configuration import MplugOwl3Config
from zeroiqa.chat.mplug_owl3.image_processing import MplugOwl3ImageProcessor
from zeroiqa.chat.mplug_owl3.model import MplugOwl3ForConditionalGeneration
from zeroiqa.chat.mplug_owl3.processing import MplugOwl3Processor

__all__ = [
    "MplugOwl3Config",
    "MplugOwl3ForConditionalGeneration",
    "MplugOwl3ImageProcessor",
    "MplugOwl3Processor",
]
