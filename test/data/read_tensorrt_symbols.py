"""Write tensorrt_symbols.json: what the real bindings of TensorRT have, by version.

The bindings are small wheels of their own; the libraries that they load are not needed to look at
them, so empty ones take their place (needs gcc). From the repository, with Python 3.11:

    pip download --no-deps -d wheels tensorrt-cu12-bindings==10.3.0
    pip download --no-deps -d wheels tensorrt-cu13-bindings==11.4.0.106
    python test/data/read_tensorrt_symbols.py wheels/*.whl
"""

import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import zipfile

CLASSES = (
    'Builder', 'BuilderFlag', 'DataType', 'IBuilderConfig', 'ICudaEngine', 'IExecutionContext',
    'IGridSampleLayer', 'IHostMemory', 'ILogger', 'INetworkDefinition', 'IOptimizationProfile',
    'IProgressMonitor', 'ITensor', 'ITimingCache', 'InterpolationMode', 'LayerType',
    'MemoryPoolType', 'NetworkDefinitionCreationFlag', 'OnnxParser', 'ParserError', 'Runtime',
    'TensorIOMode')
LIBRARIES = ('nvinfer', 'nvonnxparser', 'nvinfer_plugin')
LOOK = """
import json, sys
import tensorrt_bindings as trt
public = lambda thing: sorted(name for name in dir(thing) if not name.startswith('_'))
found = {name: public(getattr(trt, name)) for name in sys.argv[1:]}
print(json.dumps([trt.__version__, {'': public(trt), **found}]))
"""


def read(wheel: Path) -> tuple[str, dict[str, list[str]]]:
    """Return version and symbols of the bindings in a wheel."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        library = Path(folder, 'tensorrt_bindings', 'tensorrt.so')
        missing = subprocess.run(['nm', '-D', '--undefined-only', library], check=True,
                                 capture_output=True, text=True).stdout.split()
        major = wheel.name.split('-')[1].partition('.')[0]
        source = Path(folder, 'empty.c')
        source.write_text(''.join(f'void *{name}(void) {{ return 0; }}\n' for name in missing
                                  if name.endswith(('_INTERNAL', 'Registry', 'ParserVersion'))
                                  or name == 'initLibNvInferPlugins'))
        for name in LIBRARIES:
            subprocess.run(['gcc', '-shared', '-fPIC', f'-Wl,-soname,lib{name}.so.{major}', '-o',
                            f'{folder}/lib{name}.so.{major}', source], check=True)
        done = subprocess.run(
            [sys.executable, '-c', LOOK, *CLASSES], check=True, capture_output=True, text=True,
            env={**os.environ, 'LD_LIBRARY_PATH': folder, 'PYTHONPATH': folder})
        return tuple(json.loads(done.stdout))


if __name__ == '__main__':
    symbols = dict(read(Path(wheel)) for wheel in sys.argv[1:])
    text = json.dumps(symbols, indent=0, sort_keys=True).replace('",\n"', '", "')
    Path(__file__).with_name('tensorrt_symbols.json').write_text(text + '\n')
