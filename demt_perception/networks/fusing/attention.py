"""Inference forms of the published interaction and of the task query (spec 1.4, 1.5)."""

import torch
from torch import nn, Tensor

from demt_perception.networks.interaction.published import LinearInteraction, PublishedInteraction
from demt_perception.networks.query import TaskQuery

BATCH_ATTENTION = ('batch_attention is for parity with the released code and cannot be fused: '
                   'create the model without it')
# Pixels; on a CPU, what a chunk expands to (four times its features) stays in the cache.
CHUNK = 512


class FoldedInteraction(nn.Module):
    """Value, output and sMLP layers as the one matrix that they are, then the LayerNorm."""

    def __init__(self, source: LinearInteraction):
        super().__init__()
        self.linear = merge_linear(source.value, source.out, source.smlp[0])
        self.norm = source.smlp[1]

    def forward(self, z: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        return self.norm(self.linear(z))


class AbsorbedQuery(nn.Module):
    """``TaskQuery`` whose cost does not grow with the number of tasks squared.

    Scores q . (W_k z) = (W_k' q) . z, so the key projection moves to the query side; its bias
    shifts all scores of a pixel alike and drops out. Weighted sums of W_v z are W_v applied to
    the weighted sum of z, so the value projection moves behind the attention; the weights sum to
    one, so its bias passes through and merges, with the output and sMLP layers, into one layer.
    """

    def __init__(self, source: TaskQuery):
        super().__init__()
        if source.batch_attention:
            raise ValueError(BATCH_ATTENTION)
        dim = source.query.in_features
        width = dim // source.heads
        self.width = width
        scale = width ** -0.5
        self.query = linear(source.query.weight * scale, source.query.bias * scale)
        # Lists, not stacks: indexing a stack would put a Gather for each head into the graph.
        self.key = nn.ParameterList(source.key.weight.data.split(width))  # (width, dim) each
        self.value = nn.ParameterList(  # (dim, width) each
            part.T.contiguous() for part in source.value.weight.data.split(width))
        constant = linear(torch.eye(dim).to(source.value.weight), source.value.bias)
        self.out = merge_linear(constant, source.out, source.smlp[0])
        self.norm = source.smlp[1]

    def forward(self, q: Tensor, z: Tensor) -> Tensor:
        batch, tasks, pixels, dim = z.shape
        # Neither a graph nor a GPU's queue is to be filled with chunks.
        if torch.compiler.is_compiling() or q.device.type != 'cpu':
            return self._attend(q.reshape(-1, dim), z.transpose(1, 2).reshape(-1, tasks, dim)
                                ).reshape(q.shape)
        out = q.new_empty(q.shape)
        for image in range(batch):
            for start in range(0, pixels, CHUNK):
                part = slice(start, start + CHUNK)
                out[image, part] = self._attend(q[image, part], z[image, :, part].transpose(0, 1))
        return out

    def _attend(self, q: Tensor, z: Tensor) -> Tensor:
        """Compute pixels (N, C) on their tokens (N, T, C)."""
        query = self.query(q).split(self.width, dim=1)
        asked = torch.stack(
            [part @ key for part, key in zip(query, self.key, strict=True)], dim=1)
        weights = torch.bmm(asked, z.transpose(1, 2)).softmax(-1)
        mixed = torch.bmm(weights, z)
        values = torch.cat(
            [part @ value for part, value in zip(mixed.unbind(1), self.value, strict=True)],
            dim=1)
        return q + self.norm(self.out(values))


@torch.no_grad()
def merge_linear(*layers: nn.Linear) -> nn.Linear:
    """Return one layer equal to the given ones applied one after the other."""
    weight = layers[0].weight.double()
    bias = layers[0].bias.double()
    for layer in layers[1:]:
        weight = layer.weight.double() @ weight
        bias = layer.weight.double() @ bias + layer.bias.double()
    like = layers[0].weight
    return linear(weight.to(like), bias.to(like))


@torch.no_grad()
def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a layer with copies of these weights, of their type and on their device."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return layer


def fuse_interaction(source: LinearInteraction) -> nn.Module:
    """Fold the interaction.

    Raises:
        ValueError: it attends over the batch, which no single matrix can do.
    """
    if isinstance(source, PublishedInteraction) and source.batch_attention:
        raise ValueError(BATCH_ATTENTION)
    return FoldedInteraction(source)
