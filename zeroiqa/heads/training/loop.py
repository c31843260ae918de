"""The loop of a training: steps, validations, points to resume from; in one process or in several.

Nothing depends on when a training was interrupted: order, dropout and learning rate of a step follow from the
seed and the step alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from zeroiqa.errors import UserError
from zeroiqa.heads.training.batches import StepPlan, TrainingBatch, collate, prefetched
from zeroiqa.heads.training.examples import Examples
from zeroiqa.heads.training.options import Progress, TrainingOptions, Validation
from zeroiqa.heads.training.state import ResumePoint, TrainingState
from zeroiqa.heads.training.trainable import LoadTrainable, Objective, Trainable
from zeroiqa.weights.devices import find_device, find_dtype

if TYPE_CHECKING:
    from accelerate import Accelerator

WARMUP = 0.03
"""Share of the steps over which the learning rate rises."""
GREATEST_NORM = 1.0
"""Gradients are scaled down to this norm."""


class TrainingOutcome(NamedTuple):
    """What a training came to."""

    trainable: Trainable
    """With the best weights."""
    best: Validation
    """When these were reached, and their value."""
    history: tuple[Validation, ...]
    """Every validation, in order."""
    settings: Mapping[str, Any]
    """All that the result depends on."""
    is_main: bool
    """Whether this is the process that writes the result."""


def learn(
    stage: str,
    load: LoadTrainable,
    examples: Examples,
    state: Path,
    options: TrainingOptions,
    report: Callable[[Progress], None] = lambda progress: None,
) -> TrainingOutcome:
    """Train a model.

    Args:
        stage: Its name; a training of another stage is not resumed.
        load: Loads what is to be trained.
        examples: What to learn from.
        state: Folder to keep the points to resume from; what an interrupted training left there is resumed.
        options: See `TrainingOptions`.
        report: Called after every step, in every process.

    Raises:
        UserError: the options do not fit, the folder is another training's, the loss is no number, or no
            validation could tell the images apart.
    """
    run = _prepare(stage, load, examples, state, options)
    reached = _learn(run, report)
    if reached.best is None:
        raise UserError(
            "Every validation gave all images the same score, so there are no best weights; try another "
            "seed or a smaller learning rate."
        )
    run.state.load_best(run.objective)
    run.accelerator.wait_for_everyone()  # the first process may now remove what all have read
    is_main = run.accelerator.is_main_process
    return TrainingOutcome(run.trainable, reached.best, reached.history, run.state.settings, is_main)


class _Training(NamedTuple):
    """A training that is ready to begin or to be resumed."""

    accelerator: Accelerator
    trainable: Trainable
    objective: Objective
    examples: Examples
    plan: StepPlan
    options: TrainingOptions
    dtype: torch.dtype
    state: TrainingState

    @property
    def device(self) -> torch.device:
        device: torch.device = self.accelerator.device
        return device

    @property
    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)


def _prepare(
    stage: str, load: LoadTrainable, examples: Examples, state: Path, options: TrainingOptions
) -> _Training:
    accelerator = _accelerator(options)
    device, processes = accelerator.device, accelerator.num_processes
    if options.batch_size % processes:
        raise UserError(
            f"A batch of {options.batch_size} cannot be shared by {processes} processes; choose a multiple."
        )
    dtype = find_dtype(options.dtype, device)
    if dtype == torch.float16:
        raise UserError("Training in float16 loses small gradients; choose bfloat16 or float32 (--dtype).")
    trainable = load(device, dtype)
    _share_gradients(accelerator, trainable)
    trainable.prepare_model(options)
    epochs = options.epochs or trainable.epochs
    plan = StepPlan(len(examples.train), options.batch_size, epochs, options.seed)
    settings = {
        **{name: value for name, value in dataclasses.asdict(options).items() if name != "device"},
        "stage": stage,
        "start": trainable.start,
        "data": examples.digest,
        "epochs": epochs,
        "dtype": str(dtype).removeprefix("torch."),
        "processes": processes,
    }
    objective = trainable.objective()
    kept = TrainingState(state, settings)
    run = _Training(accelerator, trainable, objective, examples, plan, options, dtype, kept)
    if objective.needs_draw:
        some = [trainable.encode(example) for example in examples.train[: options.batch_size]]
        first = collate(some, trainable.join)
        objective.eval()
        with run.autocast:
            objective.draw(first.to(device), options.seed)
    return run


def _accelerator(options: TrainingOptions) -> Accelerator:
    try:
        import peft  # noqa: F401
        from accelerate import Accelerator
    except ImportError as error:
        raise UserError(
            f"Training needs the package {error.name}; install it with: pip install 'zeroiqa[train]'."
        ) from error
    device = find_device(options.device)
    return Accelerator(cpu=device.type == "cpu")


def _share_gradients(accelerator: Accelerator, trainable: Trainable) -> None:
    from accelerate.utils import DistributedDataParallelKwargs

    unused = trainable.has_unused_layers
    accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=unused)


def _learn(run: _Training, report: Callable[[Progress], None]) -> ResumePoint:
    """Do the steps that are left, with a validation and a point to resume from every so often."""
    module, optimiser = run.accelerator.prepare(run.objective, _optimiser(run))
    reached = run.state.resume(run.accelerator)
    every = run.options.every or run.plan.steps_an_epoch
    losses: list[float] = []
    for step, batch in enumerate(_batches(run, reached.step), reached.step):
        loss, value = _step(run, module, optimiser, step, batch), None
        losses.append(loss)
        if (step + 1) % every == 0 or step + 1 == run.plan.steps:
            value = _validate(run)
            reached = _with(reached, Validation(step + 1, _mean(run, losses), value))
            _keep(run, reached)
            losses = []
        report(Progress(step + 1, run.plan.steps, loss, value))
    return reached


def _optimiser(run: _Training) -> torch.optim.Optimizer:
    learnt = [weight for weight in run.objective.parameters() if weight.requires_grad]
    groups = [
        {
            "params": [weight for weight in learnt if weight.ndim > 1],
            "weight_decay": run.options.weight_decay,
        },
        {"params": [weight for weight in learnt if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=run.options.learning_rate)


def _batches(run: _Training, first: int) -> Iterator[TrainingBatch]:
    """What this process learns from in every step from `first` on."""
    rank, processes = run.accelerator.process_index, run.accelerator.num_processes
    mine = (numbers[rank::processes] for numbers in run.plan.batches(first))
    examples, trainable = run.examples.train, run.trainable
    return prefetched(mine, lambda number: trainable.encode(examples[number]), trainable.join)


def _step(
    run: _Training, module: nn.Module, optimiser: torch.optim.Optimizer, step: int, batch: TrainingBatch
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = run.options.learning_rate * schedule(step, run.plan.steps)
    with _seeded(run, step):
        module.train()
        with run.autocast:
            loss = module(batch.to(run.device))
        found = float(loss.detach())
        if not math.isfinite(found):
            raise UserError(
                f"The loss of step {step + 1} is {found}; choose a smaller learning rate or float32."
            )
        run.accelerator.backward(loss)
    nn.utils.clip_grad_norm_(
        [weight for weight in run.objective.parameters() if weight.requires_grad], GREATEST_NORM
    )
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return found


def schedule(step: int, steps: int) -> float:
    """The learning rate of a step (from 0) as a share of the greatest: linear warm-up, then half a cosine."""
    warm = math.ceil(WARMUP * steps)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


@contextmanager
def _seeded(run: _Training, step: int) -> Iterator[None]:
    """Dropout that follows from the seed, the step and the process."""
    devices = [run.device] if run.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed((run.options.seed * 1_000_003 + step) * 4096 + run.accelerator.process_index)
        yield


def _validate(run: _Training) -> float | None:
    """What the weights are chosen by, over the whole validation fold; all processes share the work."""
    examples, trainable = run.examples.validation, run.trainable
    rank, processes = run.accelerator.process_index, run.accelerator.num_processes
    each = -(-len(examples) // processes)
    mine = [(rank * each + number) % len(examples) for number in range(each)]
    size = run.options.batch_size
    chunks = (mine[start : start + size] for start in range(0, each, size))
    run.objective.eval()
    with torch.no_grad(), run.autocast:
        found = [
            run.objective.predict(batch.to(run.device))
            for batch in prefetched(chunks, lambda number: trainable.encode(examples[number]), trainable.join)
        ]
    predicted = run.accelerator.gather(torch.cat(found)).tolist()[: len(examples)]
    return run.objective.value(predicted, [example.target for example in examples])


def _mean(run: _Training, losses: list[float]) -> float:
    mine = torch.tensor([sum(losses) / len(losses)], device=run.device)
    return float(run.accelerator.gather(mine).mean())


def _with(before: ResumePoint, entry: Validation) -> ResumePoint:
    """The point after another validation; of equal values the first stays the best."""
    best = before.best
    if entry.value is not None and (best is None or best.value is None or entry.value > best.value):
        best = entry
    return ResumePoint(entry.step, (*before.history, entry), best)


def _keep(run: _Training, reached: ResumePoint) -> None:
    if run.accelerator.is_main_process and reached.best == reached.history[-1]:
        run.state.keep_best(run.objective)
    run.state.save(run.accelerator, reached)
