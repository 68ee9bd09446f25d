"""Measure the GPU part of this package in one go, in under 5 minutes; see docs/gpu.md.

    python benchmarks/gpu_check.py --out gpu_check.json

Needs torch with CUDA and onnx. What else is there is measured as well: onnxruntime-gpu, tensorrt,
and onnxscript to export the DeMT network for these two. What fails is a line of the result, with
the reason, and not the end of the run. ``--device cpu`` tries the script itself, on small images.

One run of everything is one image from the host's memory to results in the host's memory. Limits
are measured on the same GPU: matrix products and copies of device memory, with nothing else.
"""

import argparse
from collections.abc import Callable, Iterator
import contextlib
import json
from pathlib import Path
import tempfile
import time
from typing import Any

from gpu_device import host, limits, Traffic, TYPES
from gpu_figures import latency, Outputs, parity, picture, Run, too_far
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from demt_perception.inference import postprocess
from demt_perception.inference.engines import create_engine, torch_gpu
from demt_perception.inference.engines import torch as torch_engine
from demt_perception.inference.engines.torch_graph import convert
from demt_perception.inference.engines.torch_maps import TorchMaps
from demt_perception.inference.models import DEFAULT_MODEL, find_model
from demt_perception.model_card import load_card
from demt_perception.networks import create_model, fuse
from demt_perception.networks.deploy import Deployed

DEADLINE = 280.0
"""Seconds after which nothing more is begun."""

CLOSE = {'f32': {'same': 0.999, 'relative': 1e-3, 'degrees': 0.05},
         'f16': {'same': 0.998, 'relative': 0.02, 'degrees': 1.0}}
"""Of TensorRT with the shipped model. Beyond the first something is calculated wrong: sampling at
the nearest pixel gives 0.003 and 0.4 degrees. The second are twice what the f16 graph gives in
ONNX Runtime on the CPU (0.007, 0.5 degrees): GridSample in f32 between f16 was reported wrong from
TensorRT 10.14.1 on, https://github.com/pytorch/TensorRT/issues/4074."""


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    parser.add_argument('--out', type=Path, default=Path('gpu_check.json'))
    parser.add_argument('--seconds', type=float, default=3.0, help='of each measurement')
    arguments = parser.parse_args()
    if arguments.device == 'cuda' and not torch.cuda.is_available():
        parser.error(f'torch {torch.__version__} sees no NVIDIA GPU: check nvidia-smi and install '
                     'torch for CUDA, or try the script with --device cpu')
    check = Check(arguments.device, arguments.seconds)
    for measure in (check.demt, check.shipped, check.outputs, check.demt_compiled,
                    check.demt_exported):
        with check.expecting(measure.__name__):
            measure()
    check.result['seconds'] = round(time.monotonic() - check.start, 1)
    arguments.out.write_text(json.dumps(check.result, indent=1) + '\n', encoding='utf-8')
    print(f'written: {arguments.out} after {check.result["seconds"]} s')


class Check:
    """The rows of the result, and what they have in common."""

    def __init__(self, device: str, seconds: float) -> None:
        self.start = time.monotonic()
        self.device, self.seconds = device, seconds
        self.gpu = device == 'cuda'
        self.result: dict[str, Any] = {'host': host(device), 'limits': limits(device), 'rows': []}
        self.size = (448, 576) if self.gpu else (64, 96)
        self.low = 'f16' if self.gpu else 'bf16'
        print(json.dumps(self.result['host']), json.dumps(self.result['limits']), sep='\n')

    @contextlib.contextmanager
    def expecting(self, what: str) -> Iterator[None]:
        """Note what fails, and go on."""
        try:
            yield
        except Exception as error:
            row = {'what': what, 'error': f'{type(error).__name__}: {error}'[:600]}
            self.result['rows'].append(row)
            print(json.dumps(row))

    def row(self, model: str, engine: str, precision: str, make: Callable[[], Run],
            image: np.ndarray, wanted: Outputs | None, work: dict[str, float]) -> Outputs | None:
        """Measure one way to run a model; return its outputs."""
        name, outputs = f'{model}, {engine}, {precision}', None
        with self.expecting(name):
            if time.monotonic() - self.start > DEADLINE:
                raise TimeoutError(f'not begun: {DEADLINE:.0f} s are over')
            before = time.monotonic()
            run = make()
            outputs = run(image)
            row: dict[str, Any] = {
                'model': model, 'engine': engine, 'precision': precision,
                'input': list(image.shape), 'ready_s': round(time.monotonic() - before, 2),
                'latency_ms': latency(run, image, self.seconds)}
            if wanted is not None:
                row['parity'] = parity(wanted, outputs)
            seconds = row['latency_ms']['p50'] / 1000
            known = self.result['limits']
            if 2e-9 * work['macs'] > 1e-3:
                row['share_of_arithmetic'] = round(
                    2e-12 * work['macs'] / seconds / known[f'{precision}_tflops'], 4)
            row['share_of_bandwidth_if_nothing_is_fused'] = round(
                1e-9 * work[f'{precision}_bytes'] / seconds / known['gb_per_s'], 4)
            self.result['rows'].append(row)
            print(f'{name}: {json.dumps(row["latency_ms"])} {json.dumps(row.get("parity"))}',
                  flush=True)
        return outputs

    def demt(self) -> None:
        """DeMT Swin-T, NYUD, random weights: the networks themselves in torch."""
        torch.manual_seed(0)
        plain = create_model('demt', 'swin_t', 'nyud').eval()
        names = tuple(plain.tasks)
        self.fused = Deployed(fuse(plain, self.size), names, 10.0, 'linear').eval()
        self.plain = Deployed(plain, names, 10.0, 'linear').eval().to(self.device)
        self.fused.to(self.device)
        self.image = picture((1, 3, *self.size))
        tensor = torch.from_numpy(self.image).to(self.device)
        self.work, own = self.counted(self.fused, tensor), self.counted(self.plain, tensor)
        self.wanted = self.row('demt_swin_t_nyud', 'torch eager, plain network', 'f32',
                               lambda: network(self.plain, tensor, 'f32'), self.image, None, own)
        for engine, precision, mode in (
                ('torch eager, fused', 'f32', ''), ('torch eager, fused', self.low, ''),
                ('torch CUDA graph, fused', 'f32', 'graphs'),
                ('torch CUDA graph, fused', self.low, 'graphs'))[:None if self.gpu else 2]:
            self.row('demt_swin_t_nyud', engine, precision,
                     lambda precision=precision, mode=mode: network(
                         self.fused, tensor, precision, mode),
                     self.image, self.wanted, self.work)

    def demt_compiled(self) -> None:
        """The same through torch.compile, which takes a minute to be ready."""
        tensor = torch.from_numpy(self.image).to(self.device)
        if self.gpu:
            for precision, mode in (('f32', 'compile'), (self.low, 'compile+graphs')):
                self.row('demt_swin_t_nyud', f'torch {mode}, fused', precision,
                         lambda precision=precision, mode=mode: network(
                             self.fused, tensor, precision, mode),
                         self.image, self.wanted, self.work)

    def shipped(self) -> None:
        """The model that ships, in every engine."""
        folder = find_model(DEFAULT_MODEL)
        card = load_card(folder)
        shape = (1, 3, *(card.input_size if self.gpu else (96, 160)))
        self.graph(card.name, (folder / card.onnx).read_bytes(), picture(shape), None)

    def outputs(self) -> None:
        """What follows the network: small maps to outputs of 1280x720, on CPU and GPU."""
        size = (720, 1280) if self.gpu else (90, 160)
        rng = np.random.default_rng(0)
        depth, normals = rng.random((72, 128), np.float32), rng.random((3, 72, 128), np.float32)
        depth[:20] = np.nan
        ids = rng.integers(0, 11, (144, 256), np.uint8)
        for name, maps in (('CPU', postprocess), (self.device, TorchMaps(self.device))):
            def run(_: np.ndarray, maps: Any = maps) -> Outputs:
                return {'depth': maps.depth(depth, size), 'normals': maps.normals(normals, size),
                        'semantic': maps.nearest(ids, size)}
            self.result.setdefault('outputs', {})[f'postprocessing on {name}'] = latency(
                run, depth, self.seconds)

    def demt_exported(self) -> None:
        """DeMT as an ONNX graph, for the engines that take one."""
        if not self.gpu:
            return
        from demt_perception.training.export import write_onnx
        if time.monotonic() - self.start > DEADLINE:
            raise TimeoutError(f'not exported: {DEADLINE:.0f} s are over')
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'demt.onnx')
            write_onnx(self.fused.cpu(), self.size, path, free=())
            content = path.read_bytes()
        self.graph('demt_swin_t_nyud', content, self.image, self.wanted)

    def graph(self, name: str, content: bytes, image: np.ndarray, wanted: Outputs | None) -> None:
        """Measure an ONNX graph in every engine; without ``wanted``, in all of torch's modes."""
        shape = image.shape
        tensor = torch.from_numpy(image).to(self.device)
        work = self.counted(convert(content, shape).to(self.device), tensor)
        if wanted is None:
            wanted = self.row(
                name, 'torch eager', 'f32', lambda: torch_engine.load(
                    content, shape, 2, '', 'f32', self.device, 'eager').run, image, None, work)
            modes = (('f32', 'graphs'), (self.low, 'graphs'), ('f32', 'compile'),
                     (self.low, 'compile+graphs')) if self.gpu else ((self.low, 'eager'),)
        else:
            modes = ((self.low, 'graphs'),)
        for precision, mode in modes:
            self.row(name, f'engine torch, {mode}', precision,
                     lambda precision=precision, mode=mode: torch_engine.load(
                         content, shape, 2, '', precision, self.device, mode).run,
                     image, wanted, work)
        kind = 'cuda' if self.gpu else 'cpu'
        self.row(name, f'onnxruntime {kind.upper()}', 'f32', lambda: create_engine(
            f'onnxruntime:{kind}', content, shape, precision='f32').run, image, wanted, work)
        if self.gpu:
            exact, low = (self.row(name, 'engine tensorrt', precision,
                                   lambda precision=precision: tensorrt_run(
                                       content, shape, precision), image, wanted, work)
                          for precision in ('f32', 'f16'))
            if name == DEFAULT_MODEL:   # random weights say nothing
                self.close('engine tensorrt f32', exact, 'torch f32', wanted, 'f32')
                self.close('engine tensorrt f16', low, 'engine tensorrt f32', exact, 'f16')

    def close(self, what: str, seen: Outputs | None, of: str, wanted: Outputs | None,
              limit: str) -> None:
        """Say whether outputs are as close as they must be where nothing is calculated wrong."""
        if seen is None or wanted is None:
            return
        found = parity(wanted, seen)
        row = {'what': what, 'of': of, 'parity': found, 'limits': CLOSE[limit],
               'too_far': too_far(found, CLOSE[limit])}
        self.result.setdefault('close', []).append(row)
        print(json.dumps(row), flush=True)

    def counted(self, module: torch.nn.Module, image: torch.Tensor) -> dict[str, float]:
        """Return multiply-accumulates and the bytes that operators move, by precision."""
        work: dict[str, float] = {}
        with torch.no_grad():
            with FlopCounterMode(display=False) as counter:
                module(image)
            work['macs'] = counter.get_total_flops() // 2
            for precision in ('f32', self.low):
                with autocast(self.device, precision), Traffic() as traffic:
                    module(image)
                work[f'{precision}_bytes'] = traffic.bytes
        return work


def network(module: torch.nn.Module, image: torch.Tensor, precision: str, mode: str = '') -> Run:
    """Return a function that runs a network, as engine ``torch`` runs graphs."""
    place = image.clone()

    def call(tensor: torch.Tensor) -> Any:
        kind = place.device.type
        with torch.inference_mode(), autocast(kind, precision), torch_gpu.numerics(
                kind, torch_engine.LOW[precision]):
            return function(tensor)

    function = torch.compile(module, dynamic=False) if mode.startswith('compile') else module
    done = torch_gpu.recorded(call, place) if mode.endswith('graphs') else call

    def run(host: np.ndarray) -> Outputs:
        place.copy_(torch.from_numpy(host))
        return {name: np.array((one.float() if one.is_floating_point() else one).cpu().numpy())
                for name, one in zip(module.names, done(place), strict=True)}
    return run


def autocast(device: str, precision: str) -> Any:
    """Return the context of a precision; weights are cast in every run."""
    return torch.autocast(device, TYPES[precision], cache_enabled=False) \
        if precision != 'f32' else contextlib.nullcontext()


def tensorrt_run(content: bytes, shape: tuple[int, int, int, int], precision: str) -> Run:
    """Return a function that runs a graph in TensorRT."""
    from demt_perception.inference.engines import tensorrt

    if precision != 'f32':
        from demt_perception.inference.conversion import converted
        content = converted(content, precision)
    return tensorrt.load(content, shape, 1, '', precision).run


if __name__ == '__main__':
    main()
