"""What a failure of CUDA means to whom it meets, by the driver's code or a library's words."""

from demt_perception.inference.engines import BusyError, EngineError, LOST, LostError

OUT_OF_MEMORY = 2

LOST_CODES = frozenset((214, 700, 702, 710, 714, 715, 716, 717, 718, 719))
"""After these "the process must be terminated and relaunched" (cuda.h, ``cudaError_enum``), or
memory of the GPU is damaged (214): every later call of this process fails alike."""

LOST_WORDS = (
    'uncorrectable ecc', 'illegal memory access', 'launch timed out', 'device-side assert',
    'hardware stack error', 'illegal instruction', 'misaligned address',
    'operation not supported on global/shared address space', 'invalid program counter',
    'unspecified launch failure')
"""What CUDA calls them, as libraries repeat it; in the same order."""

MEMORY_WORDS = ('out of memory', 'outofmemory', 'not be enough free memory',
                'failed to allocate memory')
"""Of CUDA and torch, TensorRT (the next two), and ONNX Runtime."""

REMEDY = 'close what else uses the GPU, or take a smaller input size'


def of_code(code: int, text: str) -> BusyError:
    """Return the error of a code of the driver; none of them is the fault of what was built."""
    if code in LOST_CODES:
        return _lost(text)
    if code == OUT_OF_MEMORY:
        return BusyError(f'{text}; {REMEDY}')
    return BusyError(f'{text}; check nvidia-smi and dmesg, and start again')


def of_words(text: str, remedy: str = '') -> EngineError:
    """Return the error of a library that says ``text``; a remedy for where it is none of CUDA."""
    said = text.lower()
    if any(words in said for words in LOST_WORDS):
        return _lost(text)
    if any(words in said for words in MEMORY_WORDS):
        return BusyError(f'{text}; {REMEDY}')
    return EngineError(f'{text}; {remedy}' if remedy else text)


def _lost(text: str) -> LostError:
    return LostError(f'{text}; {LOST}: start it again, and check nvidia-smi and dmesg')
