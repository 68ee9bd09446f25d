"""MTI-Net: tasks inform each other at four scales, coarse to fine, before they are predicted.

Source: Vandenhende et al., MTI-Net, ECCV 2020, as released in Multi-Task-Learning-PyTorch
(spec 2). Key names are the released ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn, Tensor

from demt_perception.networks.distillation import in_order, MultiModalDistillation, with_auxiliary
from demt_perception.networks.feature_propagation import FeaturePropagation
from demt_perception.networks.heads import Head
from demt_perception.networks.initial_prediction import ScalePrediction
from demt_perception.networks.pyramid_decoder import PyramidDecoder


class MTINetHead(Head):
    """Initial predictions and feature propagation from scale 3 to 0, distillation, decoders.

    Args:
        in_channels: channels of the four maps, any backbone's.
        tasks: {main task: output channels}; saliency officially has 1. Their order inside is
            always semseg, human_parts, sal, normals, edge, depth.
        auxiliary: {auxiliary task: output channels}, the main tasks among them; default: the
            main tasks.
        fpm_softmax: 'channel_view' as released, or 'task' as in the paper: see
            ``FeaturePropagation``.

    Raises:
        ValueError: a main task is not auxiliary; ``fpm_softmax`` is unknown.
    """

    def __init__(self, in_channels: Sequence[int], tasks: Mapping[str, int], *,
                 auxiliary: Mapping[str, int] | None = None,
                 fpm_softmax: str = 'channel_view'):
        super().__init__(in_channels, in_order(tasks))
        self.auxiliary = with_auxiliary(tasks, auxiliary)
        c = self.in_channels
        for scale in (3, 2, 1):
            self.add_module(f'fpm_scale_{scale}',
                            FeaturePropagation(self.auxiliary, c[scale], fpm_softmax))
        for scale in range(4):
            coarser = c[scale + 1] if scale < 3 else 0
            self.add_module(f'scale_{scale}', ScalePrediction(self.auxiliary, c[scale], coarser))
        for scale in range(4):
            self.add_module(f'distillation_scale_{scale}',
                            MultiModalDistillation(self.tasks, self.auxiliary, c[scale]))
        self.heads = nn.ModuleDict({t: PyramidDecoder(c, n) for t, n in self.tasks.items()})

    def features(self, maps: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Return, for scales 0..3, {auxiliary task: features (B, in_channels[s], h_s, w_s)}."""
        features = [self.get_submodule('scale_3')(maps[3])]
        for scale in (2, 1, 0):
            propagated = self.get_submodule(f'fpm_scale_{scale + 1}')(features[0])
            features.insert(0, self.get_submodule(f'scale_{scale}')(maps[scale], propagated))
        return features

    def logits(self, maps: Sequence[Tensor], auxiliary: bool = False) -> dict[str, Any]:
        """See ``Head.logits``.

        With ``auxiliary`` also 'deep_supervision': {'scale_0': {task: logits (B,n,h_0,w_0),
        'features_<task>': (B,in_channels[0],h_0,w_0), ...}, ..., 'scale_3': ...} for every
        auxiliary task.
        """
        features = self.features(maps)
        refined = [self.get_submodule(f'distillation_scale_{scale}')(f)
                   for scale, f in enumerate(features)]
        out: dict[str, Any] = {task: decode([scale[task] for scale in refined])
                               for task, decode in self.heads.items()}
        if auxiliary:
            out['deep_supervision'] = {
                f'scale_{scale}': self.get_submodule(f'scale_{scale}').predict(f)
                | {f'features_{task}': x for task, x in f.items()}
                for scale, f in enumerate(features)}
        return out
