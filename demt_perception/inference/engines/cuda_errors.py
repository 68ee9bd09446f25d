"""What a failure of CUDA means to whom it meets, by the driver's code or a library's words.

Codes and what they leave: NVIDIA's CUDA driver API reference, ``CUresult``
(https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html).
"""

from demt_perception.inference.engines import BusyError, EngineError, LOST, LostError

OUT_OF_MEMORY, UNKNOWN = 2, 999

LOST_CODES = frozenset((
    214, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911))
"""After these "the process must be terminated and relaunched" (the reference), or the memory of
the GPU is damaged (214) or no longer there (709, 710): every later call of this process fails
alike."""

LOST_WORDS = (
    'uncorrectable ecc', 'invalid access of peer gpu memory', 'illegal memory access',
    'launch timed out', 'context is destroyed', 'device-side assert', 'hardware stack error',
    'illegal instruction', 'misaligned address',
    'operation not supported on global/shared address space', 'invalid program counter',
    'unspecified launch failure', 'tensor memory not completely freed',
    'mps client has been terminated', 'in external entity outside of cuda')
"""What CUDA calls them, as libraries repeat it; in the same order."""

LOST_AT_WORK_WORDS = ('cublas_status_execution_failed', 'cudnn_status_execution_failed',
                      'cuda error: unknown error', 'cuda failure 999')
"""What libraries say of the same in the middle of work, the last of torch and ONNX Runtime. While
loading it may also be a kernel that this GPU cannot run, or a driver that does not start."""

MEMORY_WORDS = ('out of memory', 'outofmemory', 'not be enough free memory',
                'failed to allocate memory')
"""Of CUDA and torch, TensorRT (the next two), and ONNX Runtime."""

REMEDY = 'close what else uses the GPU, or take a smaller input size'


def of_code(code: int, text: str, at_work: bool = False) -> BusyError:
    """Return the error of a code of the driver; none of them is the fault of what was built.

    ``at_work``: it is what became of work that had begun.
    """
    if code in LOST_CODES or (at_work and code == UNKNOWN):
        return _lost(text)
    if code == OUT_OF_MEMORY:
        return BusyError(f'{text}; {REMEDY}')
    return BusyError(f'{text}; check nvidia-smi and dmesg, and start again')


def of_words(text: str, remedy: str = '') -> EngineError:
    """Return the error of a library that says ``text``.

    ``remedy``: of a failure while loading, for where it is none of CUDA; '': it failed at work.
    """
    said = text.lower()
    if any(words in said for words in (LOST_WORDS if remedy else LOST_WORDS + LOST_AT_WORK_WORDS)):
        return _lost(text)
    if any(words in said for words in MEMORY_WORDS):
        return BusyError(f'{text}; {REMEDY}')
    return EngineError(f'{text}; {remedy}' if remedy else text)


def _lost(text: str) -> LostError:
    return LostError(f'{text}; {LOST}: start it again, and check nvidia-smi and dmesg')
