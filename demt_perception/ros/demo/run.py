"""Runs the demo: camera source, perception node and recorder, each a process, over real DDS."""

from dataclasses import dataclass
from pathlib import Path
import subprocess
import time
from typing import Any

from demt_perception.child import python_command
from demt_perception.progress import Progress
from demt_perception.ros.processes import (
    Lines,
    parameters,
    Process,
    ProcessError,
    quiet_environment,
)

_PACKAGE = 'demt_perception.ros'
# Making the pictures after the recording; a slow disk must not hang the demo for ever.
_RESULT_TIMEOUT = 120.0
_END_TIMEOUT = 5.0


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
        ProcessError: a process ended early, or nothing came out; the text holds the log's end.
    """
    environ = quiet_environment(options.out)
    processes: list[Process] = []

    def start(name: str, module: str, *arguments: str, pipe: bool = False) -> Process:
        processes.append(Process(
            name, python_command('-m', f'{_PACKAGE}.{module}', *arguments), environ,
            options.out / f'{name}.log', subprocess.PIPE if pipe else None))
        return processes[-1]

    try:
        recorder = start('recorder', 'demo.recorder', '--seconds', str(options.seconds),
                         '--out', str(options.out), '--model', options.model,
                         *([] if options.pictures else ['--no-pictures']),
                         *(['--dense'] if options.dense else []), pipe=True)
        node = start('node', 'perception_node', *parameters(
            model=options.model, engine=options.engine))
        camera = start('camera', 'camera_source', *parameters(
            source=options.source, camera_info_file=options.camera_info_file))
        return _follow(recorder, node, camera, options.seconds)
    finally:
        for process in reversed(processes):
            process.stop()


def _follow(recorder: Process, node: Process, camera: Process, seconds: float) -> dict[str, Any]:
    """Follow the recorder's reports to the result."""
    progress = Progress()
    memory = peak = 0.0
    first = torch = None
    lines = Lines(recorder)
    recording = True
    limit: float | None = None
    result: dict[str, Any] | None = None
    while limit is None or time.monotonic() < limit:
        for report in lines.read(0.2):
            match report['event']:
                case 'first':
                    first = report['time'] - node.started
                case 'progress':
                    elapsed, frames = report['elapsed'], report['frames']
                    progress.show(f'{frames} frames, {frames / max(elapsed, 0.1):.1f} a second',
                                  max(0.0, seconds - elapsed))
                case 'recorded':
                    recording = False
                    limit = time.monotonic() + _RESULT_TIMEOUT
                    torch = node.has_mapped('libtorch')
                    progress.close()
                    if first is not None:
                        print('making the pictures', flush=True)
                    camera.stop()
                    node.stop()
                case 'result':
                    result = report | {'first_frame_s': first, 'torch_loaded': torch,
                                       'memory_mb': memory, 'peak_memory_mb': peak}
                case 'pictures':
                    assert result is not None   # it comes before
                    result['files'] = report['files']
                    limit = time.monotonic() + _END_TIMEOUT   # it ends by itself
        if recording:
            node.check()
            camera.check()
            memory, peak = node.memory_mb()
            if first is None:
                progress.show('loading the model')
        if lines.ended:
            break
    if result is not None:
        if 'files' not in result:
            result['files'] = {}
            print(f'the pictures could not be made\n{recorder.log_tail()}', flush=True)
        return result
    if first is None:
        raise ProcessError(
            'the perception node published nothing\n' + '\n'.join(
                process.log_tail() for process in (node, camera, recorder)))
    raise ProcessError(f'the recorder gave no result\n{recorder.log_tail()}')
