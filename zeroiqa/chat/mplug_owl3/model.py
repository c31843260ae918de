"""mPLUG-Owl3-7B, releases 240728 and 241101, on transformers' own Qwen2 and SigLIP; no code of the hub's.

The names of the modules are those of the released tensors, so that a checkpoint loads without conversion.
"""
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel, SiglipVisionModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from zeroiqa.chat.caching import CacheError, find_cache
from zeroiqa.chat.mplug_owl3.configuration import MplugOwl3Config, with_tensors_of
from zeroiqa.chat.mplug_owl3.language import build_language_model
from zeroiqa.chat.mplug_owl3.visual import Starts, read_rows, see


class MplugOwl3VisionModel(SiglipVisionModel):
    """SigLIP up to its last layer but one; the rest of its tensors is loaded and never used."""

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(pictures, 3, side, side) -> (pictures, patches, width), not normalised: `hidden_states[-2]`."""
        hidden: Tensor = self.embeddings(pixel_values)
        for layer in self.encoder.layers[:-1]:
            hidden = layer(hidden, attention_mask=None)
        return hidden


class MplugOwl3ForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """The model of either release; which one is said by `config.version`.

    Raises:
        UserError: the configuration names no version.
    """

    config_class = MplugOwl3Config
    config: MplugOwl3Config
    input_modalities = ("image", "text")  # type: ignore[assignment]
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: MplugOwl3Config) -> None:
        super().__init__(config)
        vision: Any = config.vision_config
        self.language_model = build_language_model(config)
        self.vision_model = MplugOwl3VisionModel(vision)
        self.vision2text_model = _projector(config, vision.hidden_size)
        self.post_init()

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, folder: str | Path, *args: Any, config: MplugOwl3Config | None = None, **kwargs: Any
    ) -> Self | tuple[Self, dict[str, Any]]:
        """Load a checkpoint; its tensors tell the version.

        Args:
            folder: With config.json and *.safetensors.
            args: As for any model of transformers, as `kwargs`.
            config: In place of config.json.
            kwargs: `dtype`, `attn_implementation`, `output_loading_info` and so on.

        Raises:
            UserError: the folder holds no weights, or those of neither version.
        """
        config = config or MplugOwl3Config.from_pretrained(folder)
        config = with_tensors_of(config, Path(folder))
        loaded: Self | tuple[Self, dict[str, Any]] = super().from_pretrained(
            str(folder), *args, config=config, **kwargs
        )
        return loaded

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of tokens."""
        embedding: nn.Module = self.language_model.get_input_embeddings()
        return embedding

    def get_output_embeddings(self) -> nn.Module:
        """The layer that gives the logits."""
        head: nn.Module = self.language_model.lm_head
        return head

    @can_return_tuple  # type: ignore[untyped-decorator]
    def get_image_features(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Encode and project pictures, a bounded number at a time.

        Args:
            pixel_values: (pictures, 3, side, side); every tile and every global view is a picture.

        Returns:
            `pooler_output` (pictures, rows, width) is what hyper layers read; `last_hidden_state` (pictures,
            rows, vision width) is what it is projected of.
        """
        parts = [self.vision_model(part) for part in pixel_values.split(self.config.vision_batch_size)]
        hidden = torch.cat(parts)
        return BaseModelOutputWithPooling(
            last_hidden_state=hidden, pooler_output=self.vision2text_model(hidden)
        )

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        image_starts: Starts | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of the next token at every position, or at the last ones.

        Args:
            input_ids: (batch, new tokens).
            pixel_values: (pictures, 3, side, side), in the order in which they are named in the samples.
            image_starts: Of these pictures, in tokens of the whole rows.
            attention_mask: (batch, cached and new tokens), 0 where a row is padded; None: nowhere.
            position_ids: (batch, new tokens); None: counted without padding.
            use_cache: Whether to return the keys and values of the rows' tokens.
            logits_to_keep: How many positions, or which, need logits; 0: all.
            mm_encoder_outputs: What `get_image_features` returned, under "image", in place of the pixels.
            kwargs: The cache of the rows' earlier tokens, by the name that transformers' own models have for
                it; `output_hidden_states`, `return_dict` and so on.

        Raises:
            CacheError: there is a cache, by another name.
            RuntimeError: this version of transformers does not hand the pictures on to the layers.
            ValueError: the pictures and their starts are not equally many.
        """
        name, cache = find_cache(kwargs)
        cached = 0 if cache is None else int(cache.get_seq_length())
        length = cached + input_ids.shape[1]
        if attention_mask is None:
            attention_mask = input_ids.new_ones((input_ids.shape[0], length))
        rows = read_rows(attention_mask, position_ids, cached)
        embeds = self._embeds(pixel_values, mm_encoder_outputs)
        visual = None
        if embeds is not None and len(embeds):
            late = int(self.config.is_gated)
            visual = see(embeds, image_starts, rows, late, self.language_model.model.rotary_emb)
        output: CausalLMOutputWithPast = self.language_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=rows.positions[:, cached:],
            use_cache=use_cache if cache is None else True,
            logits_to_keep=logits_to_keep,
            visual=visual,
            **kwargs,
        )
        own, returned = find_cache(output)
        if cache is not None and returned is not cache:  # all that was computed before is missing
            raise CacheError(f"A cache is given as {name!r}, which is ignored; give it as {own!r}.")
        if visual is not None and visual.readers != self.config.hyper_indices:
            raise RuntimeError(
                "The pictures do not reach their layers; install a version of transformers that fits."
            )
        return output

    @wraps(GenerationMixin.prepare_inputs_for_generation)  # its signature says what `generate` may be given
    def prepare_inputs_for_generation(
        self, *args: Any, mm_encoder_outputs: dict[str, Any] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """As for every model, but later tokens see the pictures, too: they are in no cache."""
        prepare: Any = super().prepare_inputs_for_generation
        return {**prepare(*args, **kwargs), "mm_encoder_outputs": mm_encoder_outputs}

    def _embeds(self, pixels: Tensor | None, encoded: dict[str, Any] | None) -> Tensor | None:
        features = (encoded or {}).get("image")
        if features is None and pixels is not None and len(pixels):
            features = self.get_image_features(pixels)
        return None if features is None else features.pooler_output


def _projector(config: MplugOwl3Config, vision_width: int) -> nn.Module:
    first = nn.Linear(vision_width, config.hidden_size)
    if config.is_gated:
        return first
    return nn.Sequential(first, nn.GELU(), nn.Linear(config.hidden_size, config.hidden_size))
