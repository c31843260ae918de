"""Any chat vision-language model as the network of a head: its hidden states, in place of its logits.

LMM4LMM, table 6, puts its regression on further backbones than InternVL2.5: DeepSeek-VL2, Qwen2.5-VL and
Llama-3.2-Vision. How an image becomes tokens is left to the backbone's own processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zeroiqa.chat.engine import ChatEngine
from zeroiqa.chat.inputs import NotJoinableError
from zeroiqa.errors import UserError
from zeroiqa.heads.regression import QualityRegression
from zeroiqa.standards import FilledPrompt

if TYPE_CHECKING:
    from zeroiqa.chat.inputs import PromptInputs, Tensors
    from zeroiqa.chat.loading import Loaded
    from zeroiqa.heads.backbone.weights import BackboneHead

_PROJECTORS = {
    "multi_modal_projector",
    "connector",
    "merger",
    "deepstack_merger_list",
    "aligner",
    "resampler",
    "vision2text_model",
}
"""What families call the layers between the vision tower and the language model."""
_TOLERANCE, _COARSE_TOLERANCE = 1e-3, 0.05
"""Of logits, relative to the largest: in float32, and in types whose rounding is far coarser."""


class ChatNetwork(nn.Module):
    """A chat model whose output layer steps aside, so that what it gives as logits are hidden states.

    Args:
        loaded: The model, changed in place.

    Raises:
        UserError: the model's logits are not those that its output layer makes of its last hidden states.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self.engine = ChatEngine(loaded)
        """Prepares images and runs batches; what it reads are hidden states."""
        self.model: Any = loaded.model
        self.output = _take_output(self.engine)
        self.regression: QualityRegression | None = None

    def hidden_states(self, **inputs: Any) -> torch.Tensor:
        """The last hidden states, behind the final norm, shape (rows, tokens, width)."""
        states: torch.Tensor = self.model(**inputs, **self.engine.forward.without_cache).logits
        return states

    def join(self, items: Sequence[PromptInputs]) -> Tensors:
        """One batch of inputs.

        Raises:
            NotJoinableError: the model cannot take these images together.
        """
        engine = self.engine
        uneven = len({item.length for item in items}) > 1 and not engine.forward.pads_freely
        if len(items) > 1 and (uneven or not engine.paths.batch):
            raise NotJoinableError(f"{engine.loaded.name} takes no batch of these views")
        return engine.forward.inputs(items, engine.paths)

    def set_regression(self, head: BackboneHead) -> None:
        """Take the regression that was learnt on this backbone, in float32; none where none was.

        Raises:
            UserError: it does not fit.
        """
        width = int(self.engine.loaded.model.config.get_text_config().hidden_size)
        found = head.make_regression(width)
        self.regression = None if found is None else found.to(self.engine.loaded.device)

    def projectors(self) -> list[nn.Module]:
        """The layers between the vision tower and the language model.

        Raises:
            UserError: it is not known which these are.
        """
        found = [module for name, module in self.model.named_modules() if _leaf(name) in _PROJECTORS]
        if not found:
            raise UserError(
                f"Where the projector of a {self.engine.loaded.family} model is, is not known, so there is "
                "no stage 1 for it; begin with stage 2."
            )
        return found

    def towers(self) -> list[str]:
        """The names of the linear layers of the vision tower and of the language model."""
        return [
            name
            for name, module in self.model.named_modules()
            if isinstance(module, nn.Linear) and not _PROJECTORS & {*name.split(".")}
        ]


def _take_output(engine: ChatEngine) -> nn.Module:
    """Take the output layer out of a model, and see that it alone makes logits of what is left."""
    model, name = engine.loaded.model, engine.loaded.name
    output: nn.Module = model.get_output_embeddings()
    place = next(path for path, module in model.named_modules() if module is output)
    random = torch.Generator().manual_seed(0)
    view = torch.randint(0, 256, (224, 224, 3), generator=random, dtype=torch.uint8).numpy()
    item = engine.preprocessor.prepare(view, engine.template.text(FilledPrompt("", "What is this?")))
    with torch.inference_mode():
        inputs = engine.forward.inputs([item], engine.paths)
        wanted = model(**inputs).logits[:, -1].float()
        model.set_submodule(place, nn.Identity())
        found = output(model(**inputs).logits[:, -1]).float()
    limit = _TOLERANCE if engine.loaded.dtype == torch.float32 else _COARSE_TOLERANCE
    if found.shape != wanted.shape or (found - wanted).abs().max() > limit * wanted.abs().max():
        raise UserError(
            f"{name} ({engine.loaded.family}) makes its logits of more than its last hidden states, so a "
            "regression cannot read what it says from there; choose another backbone."
        )
    return output


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]
