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
from zeroiqa.heads.lmm4lmm.model import Lmm4Lmm
from zeroiqa.heads.training.batches import Batch, Plan, collate, prefetched
from zeroiqa.heads.training.examples import Lessons
from zeroiqa.heads.training.objective import (
    Objective,
    draw_regression,
    prepare_model,
    value_of,
)
from zeroiqa.heads.training.options import (
    Progress,
    Stage,
    TrainingOptions,
    Validation,
)
from zeroiqa.heads.training.state import Resumed, TrainingState
from zeroiqa.heads.training.trainable import Trainee
from zeroiqa.weights.devices import find_device, find_dtype

if TYPE_CHECKING:
    from accelerate import Accelerator

WARMUP = 0.03
"""Share of the steps over which the learning rate rises."""
GREATEST_NORM = 1.0
"""Gradients are scaled down to this norm."""


class Learnt(NamedTuple):
    """What a training came to."""

    trainee: Trainee
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
    stage: Stage,
    load: Callable[[torch.device, torch.dtype], Trainee],
    lessons: Lessons,
    state: Path,
    options: TrainingOptions,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Learnt:
    """Train a model.

    Args:
        stage: See `Stage`.
        load: Loads what is to be trained.
        lessons: What to learn from.
        state: Folder to keep the points to resume from; what an interrupted training left there is resumed.
        options: See `TrainingOptions`.
        report: Called after every step, in every process.

    Raises:
        UserError: the options do not fit, the folder is another training's, the loss is no number, or no
            validation could tell the images apart.
    """
    run = _prepare(stage, load, lessons, state, options)
    reached = _learn(run, report)
    if reached.best is None:
        raise UserError(
            "Every validation gave all images the same score, so there are no best weights; try another "
            "seed or a smaller learning rate."
        )
    run.state.load_best(run.objective)
    run.accelerator.wait_for_everyone()  # the first process may now remove what all have read
    is_main = run.accelerator.is_main_process
    return Learnt(run.trainee, reached.best, reached.history, run.state.settings, is_main)


class _Run(NamedTuple):
    """A training that is ready to begin or to be resumed."""

    accelerator: Accelerator
    trainee: Trainee
    objective: Objective
    lessons: Lessons
    plan: Plan
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
    stage: Stage,
    load: Callable[[torch.device, torch.dtype], Trainee],
    lessons: Lessons,
    state: Path,
    options: TrainingOptions,
) -> _Run:
    accelerator = _accelerator(options)
    device, processes = accelerator.device, accelerator.num_processes
    if options.batch_size % processes:
        raise UserError(
            f"A batch of {options.batch_size} cannot be shared by {processes} processes; choose a multiple."
        )
    dtype = find_dtype(options.dtype, device)
    if dtype == torch.float16:
        raise UserError("Training in float16 loses small gradients; choose bfloat16 or float32 (--dtype).")
    trainee = load(device, dtype)
    _share_gradients(accelerator, trainee)
    prepare_model(trainee, stage, options)
    plan = Plan(len(lessons.train), options.batch_size, epochs(stage, options), options.seed)
    objective = Objective(trainee.model, stage, trainee.words)
    kept = TrainingState(state, _settings(trainee, stage, lessons, options, dtype, processes))
    run = _Run(accelerator, trainee, objective, lessons, plan, options, dtype, kept)
    if stage == "2" and trainee.model.regression is None:
        some = [trainee.prepare(lesson) for lesson in lessons.train[: options.batch_size]]
        first = collate(some, trainee.join)
        objective.eval()
        with run.autocast:
            draw_regression(objective, first.to(device), options.seed)
    return run


def epochs(stage: Stage, options: TrainingOptions) -> int:
    """How often every example is learnt from."""
    return options.epochs or (1 if stage == "1" else 5)


def _settings(
    trainee: Trainee,
    stage: Stage,
    lessons: Lessons,
    options: TrainingOptions,
    dtype: torch.dtype,
    processes: int,
) -> dict[str, Any]:
    return {
        **{name: value for name, value in dataclasses.asdict(options).items() if name != "device"},
        "stage": stage,
        "start": trainee.start,
        "data": lessons.digest,
        "epochs": epochs(stage, options),
        "dtype": str(dtype).removeprefix("torch."),
        "processes": processes,
    }


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


def _share_gradients(accelerator: Accelerator, trainee: Trainee) -> None:
    """Some chat models have layers that nothing reads, behind the vision tower's last one in use."""
    from accelerate.utils import DistributedDataParallelKwargs

    unused = not isinstance(trainee.model, Lmm4Lmm)
    accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=unused)


def _learn(run: _Run, report: Callable[[Progress], None]) -> Resumed:
    """Do the steps that are left, with a validation and a point to resume from every so often."""
    optimiser = _optimiser(run)
    reached = run.state.resume(run.objective, optimiser)
    module = run.accelerator.prepare_model(run.objective)
    every = run.options.every or run.plan.steps_an_epoch
    losses: list[float] = []
    for step, batch in enumerate(_batches(run, reached.step), reached.step):
        loss, value = _step(run, module, optimiser, step, batch), None
        losses.append(loss)
        if (step + 1) % every == 0 or step + 1 == run.plan.steps:
            value = _validate(run)
            reached = _with(reached, Validation(step + 1, _mean(run, losses), value))
            _keep(run, optimiser, reached)
            losses = []
        report(Progress(step + 1, run.plan.steps, loss, value))
    return reached


def _optimiser(run: _Run) -> torch.optim.Optimizer:
    learnt = [weight for weight in run.objective.parameters() if weight.requires_grad]
    groups = [
        {
            "params": [weight for weight in learnt if weight.ndim > 1],
            "weight_decay": run.options.weight_decay,
        },
        {"params": [weight for weight in learnt if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=run.options.learning_rate)


def _batches(run: _Run, first: int) -> Iterator[Batch]:
    """What this process learns from in every step from `first` on."""
    rank, processes = run.accelerator.process_index, run.accelerator.num_processes
    mine = (numbers[rank::processes] for numbers in run.plan.batches(first))
    lessons, trainee = run.lessons.train, run.trainee
    return prefetched(mine, lambda number: trainee.prepare(lessons[number]), trainee.join)


def _step(run: _Run, module: nn.Module, optimiser: torch.optim.Optimizer, step: int, batch: Batch) -> float:
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
def _seeded(run: _Run, step: int) -> Iterator[None]:
    """Dropout that follows from the seed, the step and the process."""
    devices = [run.device] if run.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed((run.options.seed * 1_000_003 + step) * 4096 + run.accelerator.process_index)
        yield


def _validate(run: _Run) -> float | None:
    """What the weights are chosen by, over the whole validation fold; all processes share the work."""
    lessons, trainee = run.lessons.validation, run.trainee
    rank, processes = run.accelerator.process_index, run.accelerator.num_processes
    each = -(-len(lessons) // processes)
    mine = [(rank * each + number) % len(lessons) for number in range(each)]
    size = run.options.batch_size
    chunks = (mine[start : start + size] for start in range(0, each, size))
    run.objective.eval()
    with torch.no_grad(), run.autocast:
        found = [
            run.objective.predict(batch.to(run.device))
            for batch in prefetched(chunks, lambda number: trainee.prepare(lessons[number]), trainee.join)
        ]
    predicted = run.accelerator.gather(torch.cat(found)).tolist()[: len(lessons)]
    return value_of(run.objective.stage, predicted, [lesson.target for lesson in lessons])


def _mean(run: _Run, losses: list[float]) -> float:
    mine = torch.tensor([sum(losses) / len(losses)], device=run.device)
    return float(run.accelerator.gather(mine).mean())


def _with(before: Resumed, entry: Validation) -> Resumed:
    """The point after another validation; of equal values the first stays the best."""
    best = before.best
    if entry.value is not None and (best is None or best.value is None or entry.value > best.value):
        best = entry
    return Resumed(entry.step, (*before.history, entry), best)


def _keep(run: _Run, optimiser: torch.optim.Optimizer, reached: Resumed) -> None:
    if run.accelerator.is_main_process:
        if reached.best == reached.history[-1]:
            run.state.keep_best(run.objective)
        run.state.save(run.objective, optimiser, reached)
    run.accelerator.wait_for_everyone()
