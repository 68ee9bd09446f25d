"""PAD-Net: every task is guessed first, the guesses' features then refine each other.

Source: Xu et al., PAD-Net, CVPR 2018, as released in Multi-Task-Learning-PyTorch (spec 3).
Key names are the released ones, but ``fuse``, which is ``backbone.1`` there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn, Tensor

from demt_perception.networks.blocks import Bottleneck
from demt_perception.networks.distillation import in_order, MultiModalDistillation, with_auxiliary
from demt_perception.networks.heads import Head
from demt_perception.networks.initial_prediction import WidePrediction
from demt_perception.networks.pyramid_decoder import PyramidFuse

WIDTH = 256


class PADNetHead(Head):
    """One fused map, initial predictions, distillation, two bottlenecks per task.

    Args:
        in_channels: channels of the four maps, any backbone's.
        tasks: {main task: output channels}; saliency officially has 1. Their order inside is
            always semseg, human_parts, sal, normals, edge, depth.
        auxiliary: {auxiliary task: output channels}, the main tasks among them; default: the
            main tasks.

    Raises:
        ValueError: a main task is not auxiliary.
    """

    def __init__(self, in_channels: Sequence[int], tasks: Mapping[str, int], *,
                 auxiliary: Mapping[str, int] | None = None):
        super().__init__(in_channels, in_order(tasks))
        self.auxiliary = with_auxiliary(tasks, auxiliary)
        self.fuse = PyramidFuse(self.in_channels)
        self.initial_task_prediction_heads = WidePrediction(
            self.auxiliary, sum(self.in_channels), WIDTH)
        self.multi_modal_distillation = MultiModalDistillation(self.tasks, self.auxiliary, WIDTH)
        planes = WIDTH // Bottleneck.expansion
        self.heads = nn.ModuleDict({
            task: nn.Sequential(Bottleneck(WIDTH, planes), Bottleneck(WIDTH, planes),
                                nn.Conv2d(WIDTH, channels, 1))
            for task, channels in self.tasks.items()})

    def logits(self, maps: Sequence[Tensor], auxiliary: bool = False) -> dict[str, Any]:
        """See ``Head.logits``.

        With ``auxiliary`` also 'initial_<task>' of every auxiliary task, on the same grid; they
        stay there in ``forward``, as in the released code.
        """
        features = self.initial_task_prediction_heads(self.fuse(maps))
        refined = self.multi_modal_distillation(features)
        out = {task: head(refined[task]) for task, head in self.heads.items()}
        if auxiliary:
            initial = self.initial_task_prediction_heads.predict(features)
            out |= {f'initial_{task}': x for task, x in initial.items()}
        return out
