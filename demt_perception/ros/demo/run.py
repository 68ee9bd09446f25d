"""Runs the demo: camera source, perception node and recorder, each a process, over real DDS."""

from dataclasses import dataclass
import json
import os
from pathlib import Path
import random
import selectors
import subprocess
import sys
import time
from typing import Any

from demt_perception.ros.demo.processes import DemoError, Process
from demt_perception.ros.demo.progress import Progress
from demt_perception.ros.transport import transport_environment
from demt_perception.share import share_file

_PACKAGE = 'demt_perception.ros'
# Making the pictures after the recording; a slow disk must not hang the demo for ever.
_RESULT_TIMEOUT = 120.0


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        source: as the camera source's parameter of this name.
        camera_info_file: calibration of the source, or ''.
        seconds: length of the measurement, from the first output on.
        out: folder for results and logs; exists.
        model: model folder.
        engine: engine name, or auto.
        pictures: make video and sheet; without, the recorder costs less.
        dense: subscribe to DensePrediction too.
    """

    source: str
    camera_info_file: str
    seconds: float
    out: Path
    model: str
    engine: str
    pictures: bool = True
    dense: bool = False


def run_demo(options: Options) -> dict[str, Any]:
    """Run all three processes; return the recorder's result with the node's memory and start.

    Raises:
        DemoError: a process ended early, or nothing came out; the text holds the log's end.
    """
    environ = _environment(options.out)
    processes: list[Process] = []

    def start(name: str, module: str, *arguments: str, pipe: bool = False) -> Process:
        processes.append(Process(
            name, [sys.executable, '-m', f'{_PACKAGE}.{module}', *arguments], environ,
            options.out / f'{name}.log', subprocess.PIPE if pipe else None))
        return processes[-1]

    try:
        recorder = start('recorder', 'demo.recorder', '--seconds', str(options.seconds),
                         '--out', str(options.out), '--model', options.model,
                         *([] if options.pictures else ['--no-pictures']),
                         *(['--dense'] if options.dense else []), pipe=True)
        node = start('node', 'perception_node', *_parameters(
            model=options.model, engine=options.engine))
        camera = start('camera', 'camera_source', *_parameters(
            source=options.source, camera_info_file=options.camera_info_file))
        return _follow(recorder, node, camera, options.seconds)
    finally:
        for process in reversed(processes):
            process.stop()


def _follow(recorder: Process, node: Process, camera: Process, seconds: float) -> dict[str, Any]:
    """Follow the recorder's reports to the result."""
    progress = Progress(seconds)
    memory = peak = 0.0
    first = torch = None
    lines = _Lines(recorder)
    recording = True
    limit = None
    while limit is None or time.monotonic() < limit:
        for report in lines.read(0.2):
            match report['event']:
                case 'first':
                    first = report['time'] - node.started
                case 'progress':
                    progress.show(report['elapsed'], report['frames'])
                case 'recorded':
                    recording = False
                    limit = time.monotonic() + _RESULT_TIMEOUT
                    torch = node.has_mapped('libtorch')
                    progress.close('making the pictures' if first is not None else '')
                    camera.stop()
                    node.stop()
                case 'result':
                    return report | {'first_frame_s': first, 'torch_loaded': torch,
                                     'memory_mb': memory, 'peak_memory_mb': peak}
        if recording:
            node.check()
            camera.check()
            memory, peak = node.memory_mb()
            if first is None:
                progress.wait('loading the model')
        if lines.ended:
            break
    if first is None:
        raise DemoError(
            'the perception node published nothing\n' + '\n'.join(
                process.log_tail() for process in (node, camera, recorder)))
    raise DemoError(f'the recorder gave no result\n{recorder.log_tail()}')


class _Lines:
    """The recorder's reports, read without blocking for longer than asked."""

    def __init__(self, process: Process) -> None:
        self.ended = False
        self._pipe = process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._rest = b''

    def read(self, timeout: float) -> list[dict[str, Any]]:
        if not self._selector.select(timeout):
            return []
        data = os.read(self._pipe.fileno(), 1 << 20)
        self.ended = not data
        *lines, self._rest = (self._rest + data).split(b'\n')
        return [json.loads(line) for line in lines if line.startswith(b'{')]


def _environment(out: Path) -> dict[str, str]:
    """Return an environment in which our nodes talk to each other and to nobody else."""
    environ = {name: value for name, value in os.environ.items()
               if name not in ('ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER')}
    environ |= transport_environment(share_file('config/fastdds.xml'), environ)
    environ |= {
        'ROS_DOMAIN_ID': str(random.randint(1, 100)),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'RMW_IMPLEMENTATION': environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'),
        'ROS_LOG_DIR': str((out / 'ros_log').resolve()),
        'RCUTILS_COLORIZED_OUTPUT': '0',
        'PYTHONUNBUFFERED': '1',
    }
    return environ


def _parameters(**values: str) -> list[str]:
    """Return the ROS command line for text parameters; empty ones keep their default."""
    arguments = ['--ros-args']
    for name, value in values.items():
        if value:
            # JSON text is YAML text: a source '0' or a path with a colon stays text.
            arguments += ['-p', f'{name}:={json.dumps(value)}']
    return arguments
