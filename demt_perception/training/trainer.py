"""The training loop: any network, any dataset, one process or many; exact to continue."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
import signal
import threading
import time
from typing import Any, TextIO

import numpy as np
import torch
from torch import nn, Tensor

from demt_perception.training import loading, optimising, persistence, processes
from demt_perception.training.building import build, labels_needed, start_from
from demt_perception.training.card_values import check_depth_range
from demt_perception.training.class_names import named
from demt_perception.training.config import TrainConfig
from demt_perception.training.failures import (
    explained_memory,
    refuse_non_finite,
    TrainingError,
)
from demt_perception.training.logbook import Logbook
from demt_perception.training.measuring import measure_run, read_figures
from demt_perception.training.objective import last_shared, Objective
from demt_perception.training.teaching import is_taught, Lessons

WEIGHTING_RATE = 0.01
"""Of learned task weights: they are logarithms, and have to travel by a few in a run."""


def train(config: TrainConfig) -> Path:
    """Train, or continue the run in ``config.out``; return the path of the final weights.

    They are ``weights.safetensors``: the running average where there is one. With validation
    data, ``best.safetensors`` and ``best.json`` hold the best ones and their figures.

    Raises:
        ConfigError: the configuration does not fit itself, the data, or the run that is there.
        FileNotFoundError: a dataset is missing.
        DatasetError: a file of one is broken.
        TrainingError: see ``failures``.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    run = None
    try:
        with explained_memory(config):
            run = Run(config)
            return run.finish()
    finally:
        if run is not None:
            run.book.close()
            if run.claim is not None:
                run.claim.close()


class Run:
    """One run: everything that a step changes. Built where the last checkpoint left off."""

    def __init__(self, config: TrainConfig):
        network = build(config, pretrained=not config.start_from)
        new = start_from(config, network) if config.start_from else []
        tasks = labels_needed(network)
        self.objective = Objective(config, tasks)
        check_depth_range(config, network.tasks)
        datasets = loading.open_sources(config.data, config, tasks)
        given = config
        if 'semseg' in network.tasks:
            config = named(config, datasets)
        self.config, self.out = config, Path(config.out)
        self.fabric = fabric = processes.create_fabric(config)
        self.pictures = sum(len(dataset) for dataset in datasets)
        self.steps, self.epoch = loading.steps_of(config, self.pictures)
        self.items = loading.TrainingItems(datasets, config, tuple(tasks),
                                           self.steps * config.batch)
        held_out = loading.open_sources(
            config.validation, given, network.tasks, config.classes) if config.validation else []
        self.held_out = [loading.ValidationItems(dataset, source, config, tuple(network.tasks))
                         for dataset, source in zip(held_out, config.validation, strict=True)]
        self.tasks = network.tasks
        self.reference = read_figures(config.single_task, self.tasks)
        optimising.freeze(network, config.freeze, config.learn)
        optimising.freeze_norms(network, config.freeze_norms)  # says now if a part is unknown
        network = processes.synced_norms(network, fabric)
        if config.channels_last:
            network.to(memory_format=torch.channels_last)
        module: nn.Module = processes.Logits(network)
        if config.compile:
            module.compile()
        self.network = network
        self.module = fabric.setup_module(module)
        self.weights = lambda: processes.weights_of(module)
        self.optimizer = optimising.create_optimizer(network, config)
        self.step_optimizer = fabric.setup_optimizers(self.optimizer)
        learned = self.objective.weighting.parameters()
        self.weight_optimizer = torch.optim.Adam(learned, WEIGHTING_RATE) if learned else None
        self.average = optimising.Average(self.weights(), config.ema) if config.ema else None
        self.lessons = Lessons(config, tasks, self.objective.metres).to(fabric.device) \
            if is_taught(config) else None
        self.best: dict[str, Any] | None = None
        self.sums: dict[str, float] = {}
        self.digest, self.other_pictures = loading.digest(datasets), False
        self.claim: TextIO | None = None  # of the first process, see persistence.resume
        self.step = persistence.resume(self)
        self.book = Logbook(self.out, self.step, self.steps, fabric.is_global_zero)
        if new and not self.step:
            self.book.say(f'{config.start_from} lacks {", ".join(new)}: these begin anew')
        if self.other_pictures:
            self.book.say('the datasets hold other pictures than before: they come in another '
                          'order from here on, and the run is none that could be repeated')
        self.stop = False

    def finish(self) -> Path:
        """Do the steps that are left, and write the weights."""
        config, fabric = self.config, self.fabric
        loader = loading.training_loader(self.items, config, self.step, self.steps,
                                         fabric.global_rank, fabric.world_size)
        self.book.say(self._summary())
        with self._stopping_kindly():
            self._train(loader)
        return persistence.write_weights(self, persistence.WEIGHTS)

    def _train(self, loader: Iterable[dict[str, Tensor]]) -> None:
        config = self.config
        since: dict[str, list[Tensor]] = {}
        started = waiting = time.monotonic()
        waited, first = 0.0, self.step
        for pieces in loading.batches(loader, config.accumulate):
            now = time.monotonic()
            waited += now - waiting
            values = self._step(pieces)
            for name, value in values.items():
                since.setdefault(name, []).append(value)
            if self.step % config.log_every == 0 or self.step == self.steps:
                losses = self._means(since)
                took = time.monotonic() - started
                self.book.advance(losses)
                self.book.write(self.step, 'train', {
                    'loss': losses, 'lr': self.optimizer.param_groups[-1]['lr'],
                    'weights': self.objective.weighting.weights,
                    'seconds_per_step': took / (self.step - first),
                    'images_per_second': (self.step - first) * config.batch / took,
                    'waiting_share': waited / took})
                since, started, waited, first = {}, time.monotonic(), 0.0, self.step
            else:
                self.book.advance({})
            pause = time.monotonic()
            last = self.step == self.steps
            if last or (config.validate_every and self.step % config.validate_every == 0):
                measure_run(self)
            if last or self.stop or self.step % config.save_every == 0:
                persistence.save(self)
            if self.stop:
                raise TrainingError(f'stopped by a signal at iteration {self.step} of '
                                    f'{self.steps}; the checkpoint is written: the same command '
                                    'continues')
            waiting = time.monotonic()
            started += waiting - pause  # measuring and saving is no part of a step

    def _step(self, pieces: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Do one step on the pieces of its batch; return the mean of each loss."""
        config, fabric = self.config, self.fabric
        self.module.train()
        optimising.freeze_norms(self.network, config.freeze_norms)
        optimising.set_rate(self.optimizer, config, self.step, self.steps, self.epoch)
        means: dict[str, Tensor] = {}
        for number, piece in enumerate(pieces):
            # Dropout is the same in a continued run, and differs between steps and processes.
            torch.manual_seed(_seed(config.seed, self.step, number, fabric.global_rank))
            piece = fabric.to_device(piece)
            image = piece['image']
            if config.channels_last:
                image = image.contiguous(memory_format=torch.channels_last)
            with fabric.no_backward_sync(self.module, enabled=number < len(pieces) - 1):
                outputs = self.module(image, True)
                total, values = self.objective(outputs, piece)
                if self.lessons is not None:
                    more, parts = self._learn(outputs, piece)
                    total, values = total + more, values | parts
                refuse_non_finite(total, values, piece, self.step, self.out)
                self.objective.weighting.balance(self.objective.of_tasks,
                                                 last_shared(self.network))
                fabric.backward(total / len(pieces))
            for name, value in values.items():
                means[name] = means.get(name, 0) + value / len(pieces)
            for name, value in self.objective.of_tasks.items():
                self.sums[name] = self.sums.get(name, 0.0) + float(value.detach()) / len(pieces)
        if config.clip:
            fabric.clip_gradients(self.module, self.step_optimizer, max_norm=config.clip,
                                  error_if_nonfinite=False)
        self.step_optimizer.step()
        self.step_optimizer.zero_grad(set_to_none=True)
        self._learn_weights()
        self.step += 1
        if self.average is not None:
            self.average.update(self.weights(), self.step)
        if self.step % self.epoch == 0:
            everyones = processes.gathered(self.sums)
            self.objective.weighting.end_epoch({
                task: sum(sums[task] for sums in everyones) / len(everyones) / self.epoch
                for task in self.sums})
            self.sums = {}
        return means

    def _learn(self, outputs: Mapping[str, Any],
               piece: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what is not learned from labels, see ``teaching``."""
        assert self.lessons is not None
        with self.fabric.autocast():
            average = self.average.values if self.average is not None else None
            return self.lessons(self.network, average, outputs, piece)

    def _learn_weights(self) -> None:
        if self.weight_optimizer is None:
            return
        for parameter in self.objective.weighting.parameters():
            if parameter.grad is not None:
                parameter.grad = self.fabric.all_reduce(parameter.grad, reduce_op='mean')
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad(set_to_none=True)

    def _means(self, since: Mapping[str, list[Tensor]]) -> dict[str, float]:
        means = {name: torch.stack(values).mean() for name, values in since.items()}
        return {name: float(self.fabric.all_reduce(value, reduce_op='mean'))
                for name, value in means.items()}

    def _summary(self) -> str:
        """Return what is about to happen, in one line."""
        config, fabric = self.config, self.fabric
        learned = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        again = f'continues after iteration {self.step} of' if self.step else 'starts'
        return (f'{config.model}, {config.backbone}: {learned / 1e6:.1f} M parameters learn '
                f'{", ".join(self.tasks)} on {fabric.world_size} x {fabric.device.type}; '
                f'{self.pictures} pictures; {again} {self.steps} iterations of {config.batch}, '
                f'in {config.out}')

    @contextmanager
    def _stopping_kindly(self) -> Iterator[None]:
        """Let SIGTERM, the warning of cluster schedulers, end the run after a checkpoint.

        Several processes would not stop at the same step; they continue from the last one.
        """
        def note(*_: object) -> None:
            self.stop = True
        if self.fabric.world_size > 1 or threading.current_thread() is not threading.main_thread():
            yield  # elsewhere than in the main thread signals belong to whoever started it
            return
        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
