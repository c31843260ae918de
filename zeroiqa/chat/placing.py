"""Whether the prompts of a standard reach a model as they are written; chat templates have their habits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from zeroiqa.errors import ImageError, UserError, one_line

if TYPE_CHECKING:
    from zeroiqa.chat.template import ChatTemplate
    from zeroiqa.standards import FilledPrompt, Standard

_LOG = logging.getLogger(__name__)
_EXAMPLE = "a photo"  # in place of an image's own prompt


def check_standard(template: ChatTemplate, standard: Standard, model: str) -> None:
    """Let a template write the prompts for a whole image and for a crop, and look at them.

    Lost white space is a warning: the question is the same, but not byte for byte.

    Raises:
        UserError: a part of a prompt is refused or lost, or the image is not where it belongs.
    """
    prompts = dict.fromkeys(standard.fill(_EXAMPLE, crop=crop) for crop in (False, True))
    for prompt in prompts:
        check_images(template, prompt, model)
    texts = {prompt: _written(template, prompt, standard, model) for prompt in prompts}
    if not all(template.keeps_space(prompt, text) for prompt, text in texts.items()):
        same = len(texts) > 1 and len(set(texts.values())) == 1
        alike = ", so that crops are asked about as the whole image is" if same else ""
        _LOG.warning(
            "%s: the chat template of %s changes the white space around the image%s.",
            standard.name,
            model,
            alike,
        )


def check_images(template: ChatTemplate, prompt: FilledPrompt, model: str) -> None:
    """See that a template writes something for each of several images.

    Raises:
        UserError: it takes one image only.
    """
    if prompt.images == 1:
        return
    try:
        one, all_ = (template.text(prompt._replace(images=images)) for images in (1, prompt.images))
    except UserError:
        raise
    except Exception as error:
        raise no_two_images(model, f"its chat template fails with {one_line(error, kind=True)}") from error
    counts = [text.count(template.image) if template.image else 0 for text in (one, all_)]
    if one == all_ or counts[1] != prompt.images * counts[0]:
        raise no_two_images(
            model, f"its chat template writes {counts[1] or 'no more'} placeholders for {prompt.images}"
        )


def no_two_images(model: str, why: str) -> UserError:
    """The sentence about a model that takes one image only."""
    return UserError(
        f"{model} takes no two images in one prompt ({why.rstrip('.')}); choose another model, or a standard "
        "that shows one image."
    )


def _written(template: ChatTemplate, prompt: FilledPrompt, standard: Standard, model: str) -> str:
    try:
        text = template.text(prompt)
    except ImageError as error:  # not the image's fault: there is none yet
        raise UserError(f"{model} cannot be asked under the standard {standard.name}: {error}") from error
    except UserError:
        raise
    except Exception as error:  # each template raises errors of its own
        if not prompt.before_image:
            raise
        raise _misplaced(standard, model, f" (it fails with {one_line(error, kind=True)})") from error
    if template.misplaced(prompt, text):
        raise _misplaced(standard, model, "")
    return text


def _misplaced(standard: Standard, model: str, why: str) -> UserError:
    return UserError(
        f"The chat template of {model} cannot put an image between two texts{why}, as the standard "
        f"{standard.name} needs it; choose another model, or a standard without text before the image."
    )
