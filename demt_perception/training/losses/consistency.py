"""Two predictions of one surface shall agree: normals, and the normals that depth implies."""

import torch
from torch import Tensor
from torch.nn import functional as F

JUMP = 0.1  # relative; a steeper step between neighbours is an occlusion, not a surface


def normals_of_depth(depth: Tensor, focal: Tensor,
                     axis: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return unit normals (B,3,h,w) of the surface that a depth map shows, and where it is one.

    By central differences of the points in space: exact on planes. Normals are in the optical
    frame (x right, y down, z forward) and face the camera. The second result, bool (B,1,h,w), is
    False on the outermost pixels and where depth, among the pixel and its eight neighbours, is
    not finite and positive or differs by more than a tenth; normals mean nothing there.

    Args:
        depth: (B,1,h,w) metres along Z.
        focal: (B,2) fx and fy in pixels of this map.
        axis: (B,2) cx and cy, where the optical axis goes through, in pixels of this map counted
            from the centre of its first one; None: the centre of the map.

    Raises:
        ValueError: the map is smaller than 3x3.
    """
    if min(depth.shape[-2:]) < 3:
        raise ValueError(f'depth is {tuple(depth.shape)}: want at least 3x3 pixels, a normal '
                         'comes from a pixel and its neighbours')
    depth = depth.to(torch.promote_types(depth.dtype, torch.float32))
    known = torch.isfinite(depth) & (depth > 0)
    depth = torch.where(known, depth, 1)
    height, width = depth.shape[-2:]
    x = torch.arange(width, device=depth.device, dtype=depth.dtype)
    y = torch.arange(height, device=depth.device, dtype=depth.dtype)
    if axis is None:
        axis = depth.new_tensor([(width - 1) / 2, (height - 1) / 2]).expand(len(depth), 2)
    fx, fy = focal.to(depth)[:, :, None, None, None].unbind(1)
    cx, cy = axis.to(depth)[:, :, None, None, None].unbind(1)
    points = torch.cat([depth * ((x - cx) / fx), depth * ((y[:, None] - cy) / fy), depth], 1)
    across = points[..., 1:-1, 2:] - points[..., 1:-1, :-2]
    down = points[..., 2:, 1:-1] - points[..., :-2, 1:-1]
    # Directions only: the product of two differences on a near surface is too small to divide by.
    across, down = F.normalize(across, dim=1), F.normalize(down, dim=1)
    normals = F.normalize(torch.linalg.cross(down, across, dim=1), dim=1)
    flat = depth.detach()
    farthest, nearest = F.max_pool2d(flat, 3, 1), -F.max_pool2d(-flat, 3, 1)
    unknown = F.max_pool2d((~known).to(depth.dtype), 3, 1) > 0
    surface = (farthest < nearest * (1 + JUMP)) & ~unknown
    return F.pad(normals, (1, 1, 1, 1)), F.pad(surface, (1, 1, 1, 1))


def normals_from_depth_loss(depth: Tensor, normals: Tensor, focal: Tensor,
                            axis: Tensor | None = None) -> Tensor:
    """Return the mean of 1 - cos between predicted normals and those of predicted depth.

    Over the pixels where depth shows a surface; 0 if there is none. Both predictions learn. Alone
    it is content with any surface: use it beside losses that see labels.

    Args:
        depth: (B,1,h,w) metres, of a network.
        normals: (B,3,h,w) of any length, of a network.
        focal: see ``normals_of_depth``.
        axis: see ``normals_of_depth``.
    """
    implied, surface = normals_of_depth(depth, focal, axis)
    unit = F.normalize(normals.to(implied.dtype), dim=1, eps=1e-6)
    disagreement = 1 - (implied * unit).sum(1, keepdim=True)
    return torch.where(surface, disagreement, 0).sum() / surface.sum().clamp(min=1)
