"""One process or many: everything that knows how a run is spread, on Lightning Fabric.

``torchrun`` starts the processes and tells them of each other; Fabric and torch do all the
communication. Precision is Fabric's too.
"""

from collections.abc import Mapping
import os
from typing import Any

import torch
from torch import nn, Tensor
from torch.distributed.tensor import distribute_tensor, DTensor

from demt_perception.extras import installing
from demt_perception.training.config import ConfigError, TrainConfig

PRECISION: dict[str, Any] = {'fp32': '32-true', 'bf16': 'bf16-mixed', 'fp16': '16-mixed'}
SHARD = 500_000
"""Parameters that make a block of the backbone a shard of its own: fewer are not worth the
communication."""


class Logits(nn.Module):
    """The network as training calls it: forward gives the logits before the last resizing."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, auxiliary: bool) -> dict[str, Any]:
        """Return ``network.logits``."""
        outputs: dict[str, Any] = self.network.logits(image, auxiliary)
        return outputs


def create_fabric(config: TrainConfig) -> Any:
    """Return a launched ``lightning.fabric.Fabric`` for the processes that torchrun started.

    Raises:
        ImportError: Fabric is missing.
        ConfigError: accelerator, strategy and precision do not go together.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy
    except ImportError as error:
        raise ImportError(f'training needs Lightning Fabric: {installing("train")}') from error
    world = int(os.environ.get('WORLD_SIZE', 1))
    local = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    gpu = torch.cuda.is_available() if config.accelerator == 'auto' else \
        config.accelerator == 'cuda'
    if gpu and torch.cuda.device_count() < local:
        raise ConfigError(f'accelerator {config.accelerator}: {local} processes on this machine '
                          f'and {torch.cuda.device_count()} GPUs; start as many processes as '
                          'there are GPUs, or set accelerator=cpu')
    if config.precision == 'fp16' and (not gpu or (config.strategy == 'fsdp' and world > 1)):
        raise ConfigError('precision fp16 needs a GPU and strategy ddp: set precision=bf16')
    strategy: Any = 'auto'
    if world > 1:
        # Some parameters never get a gradient, e.g. query and key of the published interaction.
        strategy = (DDPStrategy(find_unused_parameters=True) if config.strategy == 'ddp' else
                    ModelParallelStrategy(shard, data_parallel_size=world,
                                          tensor_parallel_size=1))
    fabric = Fabric(accelerator='cuda' if gpu else 'cpu', devices=local, num_nodes=world // local,
                    strategy=strategy, precision=PRECISION[config.precision])
    fabric.launch()
    return fabric


def shard(module: nn.Module, mesh: Any) -> nn.Module:
    """Spread the weights over the processes by FSDP: block by block, then the rest."""
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = mesh['data_parallel'] if mesh.ndim > 1 else mesh
    lists = [part for part in module.network.backbone.modules() if isinstance(part, nn.ModuleList)]
    for part in reversed(lists):  # inner ones first
        for block in part:
            # What holds blocks, as a stage does, may be called by its parts: its weights would
            # not be there. A ModuleList cannot be called at all.
            if _count(block) >= SHARD and not any(
                    isinstance(inner, nn.ModuleList | FSDPModule) for inner in block.modules()):
                fully_shard(block, mesh=mesh)
    return fully_shard(module, mesh=mesh)


def synced_norms(network: nn.Module, fabric: Any) -> nn.Module:
    """Let BatchNorm see the pictures of all processes; torch has this for GPUs only."""
    if fabric.world_size > 1 and fabric.device.type == 'cuda':
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return network


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Return {name in the network: weight or running statistic} of a ``Logits``, not copied."""
    # Asked of the outermost module: only there FSDP hears of it, and gives the shards.
    return {name.removeprefix('network.'): value for name, value in module.state_dict().items()}


def whole(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU, put together where processes hold shards; all must call it."""
    return {name: (value.full_tensor() if isinstance(value, DTensor) else value).detach().cpu()
            for name, value in values.items()}


def whole_tree(tree: Any) -> Any:
    """Apply ``whole`` to all tensors inside dicts and lists."""
    if isinstance(tree, Tensor):
        return whole({'': tree})['']
    if isinstance(tree, Mapping):
        return {key: whole_tree(value) for key, value in tree.items()}
    return [whole_tree(value) for value in tree] if isinstance(tree, list | tuple) else tree


@torch.no_grad()
def fill(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be sharded."""
    target.copy_(as_sharded(value, target))


def as_sharded(value: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor on the device of another, and sharded as that one is."""
    value = value.to(like.device)
    if isinstance(like, DTensor) and value.shape == like.shape:
        sharded: Tensor = distribute_tensor(value, like.device_mesh, like.placements)
        return sharded
    return value


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load what ``whole_tree(optimizer.state_dict())`` gave, on any number of processes.

    Raises:
        ConfigError: it is the state of other parameters.
    """
    parameters = [p for group in optimizer.param_groups for p in group['params']]
    try:
        state = {**state, 'state': {
            index: {name: as_sharded(value, parameters[index]) if isinstance(value, Tensor)
                    and value.ndim else value for name, value in values.items()}
            for index, values in state['state'].items()}}
        optimizer.load_state_dict(dict(state))
    except (IndexError, ValueError, KeyError) as error:
        raise ConfigError(f'the checkpoint is of another network or optimizer: {error}') from error


def gathered(value: Any) -> list[Any]:
    """Return this value of every process, in their order."""
    if not torch.distributed.is_initialized():
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
