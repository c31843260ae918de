"""Checkpoint folders with something wrong, or odd, that a rater must refuse in one sentence or cope with.

Every function writes a folder and returns it; what is wrong is its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.tiny import idefics, internvl, qwen, unlisted, unlisted_more
from tests.tiny.checkpoint import Parts, random_model, text_sizes, write
from tests.tiny.tokenizer import make_tokenizer

if TYPE_CHECKING:
    import torch

DIGITS = "123456789"
WEIGHTS = "model.safetensors"


def good(folder: Path) -> Path:
    return write(qwen.qwen2_5_vl(), folder)


def digits_of_several_tokens(folder: Path) -> Path:
    """Every digit is read as another sign, of three bytes and so three tokens."""
    from tokenizers import normalizers

    parts = qwen.qwen2_5_vl()
    circled = [normalizers.Replace(digit, chr(0x2460 + index)) for index, digit in enumerate(DIGITS)]
    parts.processor.tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(circled)
    return write(parts, folder)


def digits_of_one_and_the_same_token(folder: Path) -> Path:
    from tokenizers import normalizers

    parts = qwen.qwen2_5_vl()
    ones = [normalizers.Replace(digit, "1") for digit in DIGITS]
    parts.processor.tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(ones)
    return write(parts, folder)


def digits_that_melt_into_the_prompt(folder: Path) -> Path:
    """The line break that ends the prompt and the digit after it are one token."""
    parts = qwen.qwen2_5_vl()
    parts.processor.tokenizer.add_tokens([f"\n{digit}" for digit in DIGITS])
    parts.config.text_config.vocab_size = len(parts.processor.tokenizer)
    return write(parts, folder)


def a_digit_that_is_unknown(folder: Path) -> Path:
    """The vocabulary has no 7; it is the unknown token, a single one as that of every other digit."""
    path = good(folder) / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {"<unk>" if piece == "7" else piece: at for piece, at in vocabulary.items()}
    content["model"]["merges"] = [pair for pair in content["model"]["merges"] if "7" not in "".join(pair)]
    content["model"]["unk_token"] = "<unk>"
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def a_digit_that_is_a_letter(folder: Path) -> Path:
    from tokenizers import normalizers

    parts = qwen.qwen2_5_vl()
    parts.processor.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("7", "x")
    return write(parts, folder)


def ends_within_a_thought(folder: Path) -> Path:
    """Nothing in its template or its vocabulary says how a thought ends."""
    parts = qwen.qwen2_5_vl()
    parts.processor.chat_template = parts.processor.chat_template.replace(
        "assistant\n", "assistant\n<think>\n"
    )
    return write(parts, folder)


def text_only(folder: Path) -> Path:
    """A language model without eyes."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer(qwen.SPECIAL, pad="<|endoftext|>", eos="<|im_end|>")
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen2ForCausalLM(Qwen2Config(**text_sizes(tokenizer))).save_pretrained(folder)  # type: ignore[arg-type]
    return folder


def template_without_images(folder: Path) -> Path:
    parts = qwen.qwen2_5_vl()
    parts.processor.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return write(parts, folder)


def no_template(folder: Path) -> Path:
    parts = qwen.qwen2_5_vl()
    parts.processor.chat_template = None
    return write(parts, folder)


def no_chat_model(folder: Path) -> Path:
    return write(unlisted.paligemma(), folder)


def no_next_token(folder: Path) -> Path:
    return write(unlisted_more.diffusion_gemma(), folder)


def missing_tensor(folder: Path) -> Path:
    """The last normalisation is not in the file."""
    return _edit_weights(good(folder), lambda tensors: tensors.pop("model.norm.weight"))


def unexpected_tensor(folder: Path) -> Path:
    return _edit_weights(
        good(folder), lambda tensors: tensors.update({"model.extra.weight": _first(tensors)})
    )


def tensor_of_wrong_shape(folder: Path) -> Path:
    name = "model.norm.weight"
    return _edit_weights(good(folder), lambda tensors: tensors.update({name: tensors[name][:-1].clone()}))


def weights_that_are_no_numbers(folder: Path) -> Path:
    return _edit_weights(good(folder), lambda tensors: tensors["lm_head.weight"].fill_(float("nan")))


def cut_weights(folder: Path) -> Path:
    """A download that broke off."""
    path = good(folder) / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])
    return folder


def no_weights(folder: Path) -> Path:
    (good(folder) / WEIGHTS).unlink()
    return folder


def pickled_weights(folder: Path) -> Path:
    """pytorch_model.bin instead of safetensors; sound, but a format that can run code."""
    import torch
    from safetensors.torch import load_file

    path = good(folder) / WEIGHTS
    torch.save(load_file(path), folder / "pytorch_model.bin")
    path.unlink()
    return folder


def lost_shard(folder: Path) -> Path:
    """Two files of weights in the index, one on the disk."""
    from safetensors.torch import load_file, save_file

    path = good(folder) / WEIGHTS
    tensors = load_file(path)
    names = sorted(tensors)
    shards = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    where = {name: shards[place % 2] for place, name in enumerate(names)}
    save_file({name: tensors[name] for name in names[::2]}, folder / shards[0], metadata={"format": "pt"})
    index = {"metadata": {"total_size": path.stat().st_size}, "weight_map": where}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index), encoding="utf-8")
    path.unlink()
    return folder


def harmful_pickle(folder: Path) -> Path:
    """pytorch_model.bin that makes the folder "ran" where it is read without care."""
    import os

    import torch

    class Harm:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(folder / "ran"),)

    (good(folder) / WEIGHTS).unlink()
    torch.save({"lm_head.weight": Harm()}, folder / "pytorch_model.bin")
    return folder


def no_tokenizer(folder: Path) -> Path:
    good(folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    return folder


def broken_template(folder: Path) -> Path:
    parts = qwen.qwen2_5_vl()
    parts.processor.chat_template = "{% for message in messages %}"
    return write(parts, folder)


def tokens_beyond_the_vocabulary(folder: Path) -> Path:
    """The tokenizer of a larger model: the template begins with a token that has no embedding."""
    parts = qwen.qwen2_5_vl()
    parts.processor.tokenizer.add_tokens([f"<extra {number}>" for number in range(3)])
    write(parts, folder)
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    (folder / "chat_template.jinja").write_text(f"<extra 1>{template}", encoding="utf-8")
    return folder


def wrong_number_of_image_tokens(folder: Path) -> Path:
    parts = internvl.internvl()
    parts.processor.image_seq_length += 1
    return write(parts, folder)


def no_processor(folder: Path) -> Path:
    (good(folder) / "processor_config.json").unlink()
    return folder


def no_config(folder: Path) -> Path:
    (good(folder) / "config.json").unlink()
    return folder


def broken_config(folder: Path) -> Path:
    (good(folder) / "config.json").write_text("{", encoding="utf-8")
    return folder


def unknown_architecture(folder: Path) -> Path:
    return _edit_config(
        good(folder), model_type="qwen9_vl", architectures=["Qwen9VLForConditionalGeneration"]
    )


def own_code(folder: Path) -> Path:
    """A repository that brings its own modelling code, which would leave a mark if it ran."""
    good(folder)
    code = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
    (folder / "modeling_own.py").write_text(code, encoding="utf-8")
    (folder / "configuration_own.py").write_text(code, encoding="utf-8")
    auto_map = {
        "AutoConfig": "configuration_own.OwnConfig",
        "AutoModelForImageTextToText": "modeling_own.OwnModel",
    }
    return _edit_config(folder, model_type="own_vl", architectures=["OwnModel"], auto_map=auto_map)


REFUSED: tuple[Callable[[Path], Path], ...] = (
    digits_of_several_tokens,
    digits_of_one_and_the_same_token,
    digits_that_melt_into_the_prompt,
    a_digit_that_is_unknown,
    a_digit_that_is_a_letter,
    ends_within_a_thought,
    text_only,
    template_without_images,
    no_template,
    no_chat_model,
    no_next_token,
    missing_tensor,
    unexpected_tensor,
    tensor_of_wrong_shape,
    weights_that_are_no_numbers,
    cut_weights,
    no_weights,
    pickled_weights,
    harmful_pickle,
    lost_shard,
    no_tokenizer,
    broken_template,
    tokens_beyond_the_vocabulary,
    wrong_number_of_image_tokens,
    no_processor,
    no_config,
    broken_config,
    unknown_architecture,
    own_code,
)


def always_says(folder: Path, text: str, family: str = "qwen2_5_vl") -> Path:
    """A model that answers `text` to everything: each token is followed by the next one of the text.

    Its layers add nothing, so that the last token alone decides; no token may occur twice, and none may be
    the last of the prompt.
    """
    import torch

    parts = {"qwen2_5_vl": qwen.qwen2_5_vl, "smolvlm": idefics.smolvlm}[family]()
    tokenizer = parts.processor.tokenizer
    prompt_end = tokenizer.encode("\n" if family == "qwen2_5_vl" else ":", add_special_tokens=False)[-1]
    chain = [prompt_end, *tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
    assert len(set(chain)) == len(chain), f"a token of {text!r} occurs twice"
    model = random_model(parts.config, seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "o_proj.bias", "down_proj.weight")) and "visual" not in name:
                parameter.zero_()
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        head.zero_()
        for token, following in pairwise(chain):
            head[following] = embedding[token]
    parts.processor.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def other_dtype(folder: Path, dtype: str) -> Path:
    """A sound checkpoint whose weights are stored in another type ("bfloat16", "float16")."""
    parts: Parts = qwen.qwen2_5_vl()
    parts.processor.save_pretrained(folder)
    import torch

    random_model(parts.config, 0).to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def _edit_weights(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def _first(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return next(iter(tensors.values())).clone()


def _edit_config(folder: Path, **entries: object) -> Path:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | entries
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder
