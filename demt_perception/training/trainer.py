"""The training loop: mixed photographs and renders, poly schedule, EMA, exact resume."""

import copy
import json
import os
from pathlib import Path
import time
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
import torch
from torch import nn, Tensor
from torch.utils.data import DataLoader, Dataset

from demt_perception.networks import create_model, output_channels
from demt_perception.networks.backbones.efficientnet_lite import MEAN, STD
from demt_perception.training.config import TrainConfig
from demt_perception.training.datasets import CamVid, Rendered
from demt_perception.training.losses import multi_task_loss
from demt_perception.training.transforms import photometric, random_view, to_tensors

# Rare classes weigh more, by 1 / log(1.1 + share) (ENet's rule, Paszke et al. 2016, with a
# gentler constant); shares of the CamVid training pixels.
CAMVID_SHARES = (0.169, 0.233, 0.010, 0.317, 0.045, 0.097, 0.012, 0.011, 0.059, 0.006, 0.003)


class MixedSamples(Dataset):
    """Endless, seeded mixture: item i is always the same crop of the same picture."""

    def __init__(self, config: TrainConfig):
        self.config = config
        self.real = CamVid(config.camvid, 'train')
        self.rendered = Rendered(config.rendered) if config.render_share > 0 else None

    def __len__(self) -> int:
        return self.config.iterations * self.config.batch

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        c = self.config
        rng = np.random.default_rng((c.seed, index))
        place = index % c.batch
        use_render = self.rendered is not None and place < round(c.render_share * c.batch)
        source: Any = self.rendered if use_render else self.real
        sample = source[int(rng.integers(len(source)))]
        sample.image = photometric(sample.image, rng)
        view = random_view(sample.image.shape[:2], rng)
        return to_tensors(sample, view, c.input_size, c.focal, c.far, MEAN, STD)


def freeze_norms(encoder: nn.Module) -> None:
    """Keep the encoder's ImageNet statistics: small mixed batches would spoil them."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def train(config: TrainConfig) -> Path:
    """Train, or continue the run in ``config.out``; return the path of the final weights."""
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    outputs = output_channels(config.tasks, config.classes)
    model = create_model(config.model, config.backbone, outputs, pretrained=True,
                         **config.model_options)
    model.to(memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval()
    # The first layers are generic, and the dearest to differentiate: they stay as they come.
    for module in (model.backbone.stem, model.backbone.stages[0]):
        module.requires_grad_(False)
    encoder = [p for p in model.backbone.parameters() if p.requires_grad]
    ids = {id(p) for p in model.backbone.parameters()}
    rest = [p for p in model.parameters() if id(p) not in ids]
    optimizer = torch.optim.AdamW([
        {'params': encoder, 'base_lr': config.encoder_lr},
        {'params': rest, 'base_lr': config.lr}], weight_decay=config.weight_decay)
    step = resume(out, model, average, optimizer)
    class_weights = 1 / torch.log(1.1 + torch.tensor(CAMVID_SHARES))
    class_weights = class_weights / class_weights.mean()
    data = MixedSamples(config)
    order = range(step * config.batch, len(data))
    loader = DataLoader(data, config.batch, sampler=order, num_workers=config.workers,
                        prefetch_factor=4 if config.workers else None)
    started = time.monotonic()
    running: dict[str, float] = {}
    first = step
    for batch in loader:
        model.train()
        freeze_norms(model.backbone)
        set_rate(optimizer, config, step)
        with torch.autocast('cpu', torch.bfloat16, enabled=config.bf16):
            logits = model.logits(batch['image'].contiguous(memory_format=torch.channels_last))
        logits = {task: value.float() for task, value in logits.items()}
        loss, values = multi_task_loss(logits, batch, config.loss_weights, class_weights,
                                       config.far)
        if not torch.isfinite(loss):
            torch.save(batch, out / 'bad_batch.pt')
            raise FloatingPointError(
                f'loss is {float(loss)} at iteration {step} ({values}); the batch is saved as '
                f'{out / "bad_batch.pt"}; lower lr or look for broken labels')
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        step += 1
        update_average(average, model, min(config.ema, step / (step + 10)))
        for task, value in values.items():
            running[task] = 0.98 * running.get(task, value) + 0.02 * value
        if step % 20 == 0:
            pace = (time.monotonic() - started) / (step - first)
            log(out, step, running, pace, (config.iterations - step) * pace)
        if step % config.save_every == 0 or step == config.iterations:
            save(out, step, model, average, optimizer)
    return out / 'average.safetensors'


def set_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> None:
    """Polynomial decay of power 0.9 after a linear warm-up."""
    factor = (1 - step / config.iterations) ** 0.9 * min(1.0, (step + 1) / config.warmup)
    for group in optimizer.param_groups:
        group['lr'] = group['base_lr'] * factor


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of weights; running statistics are averaged too."""
    for a, b in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if a.dtype.is_floating_point:
            a.lerp_(b, 1 - decay)
        else:
            a.copy_(b)


def save(out: Path, step: int, model: nn.Module, average: nn.Module,
         optimizer: torch.optim.Optimizer) -> None:
    """Write a checkpoint atomically: complete or not at all."""
    temporary = out / 'checkpoint.tmp'
    torch.save({'step': step, 'model': model.state_dict(), 'average': average.state_dict(),
                'optimizer': optimizer.state_dict()}, temporary)
    os.replace(temporary, out / 'checkpoint.pt')
    weights = out / 'average.tmp'
    save_file({k: v.contiguous() for k, v in average.state_dict().items()}, weights)
    os.replace(weights, out / 'average.safetensors')


def resume(out: Path, model: nn.Module, average: nn.Module,
           optimizer: torch.optim.Optimizer) -> int:
    """Load the checkpoint of a run folder, if there is one; return its iteration."""
    path = out / 'checkpoint.pt'
    if not path.exists():
        return 0
    state = torch.load(path, map_location='cpu', weights_only=True)
    model.load_state_dict(state['model'])
    average.load_state_dict(state['average'])
    optimizer.load_state_dict(state['optimizer'])
    return int(state['step'])


def load_weights(path: str | Path, model: nn.Module) -> None:
    """Load ``average.safetensors`` into a network, strictly."""
    state = load_file(path)
    # The first shipped weights are older than the split into backbone and head.
    model.load_state_dict({
        key if key.startswith(('backbone.', 'head.')) else f'head.{key}': value
        for key, value in state.items()})


def log(out: Path, step: int, values: dict[str, float], pace: float, left: float) -> None:
    """Append one JSON line to ``log.jsonl`` and print it."""
    text = ' '.join(f'{task} {value:.3f}' for task, value in values.items())
    print(f'{step:6d}  {text}  {pace:.2f} s/it  {left / 60:.0f} min left', flush=True)
    with open(out / 'log.jsonl', 'a', encoding='utf-8') as file:
        file.write(json.dumps({'step': step, **values}) + '\n')
