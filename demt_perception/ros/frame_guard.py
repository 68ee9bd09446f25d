"""What a frame may do to a thread: be dropped for a reason, not end it. No rclpy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from demt_perception.ros.bad_image import BadImageError
from demt_perception.ros.frame import Source

Drop = Callable[[Source, str, str], None]


def report(camera: Source, reason: str, text: str) -> None:
    """Count a dropped frame of a camera, and say so."""
    camera.report_drop(reason, text)


@contextmanager
def guard(camera: Source, reason: str, drop: Drop = report) -> Iterator[None]:
    """Keep the thread alive whatever a camera's frame does to it.

    Args:
        camera: whose frame it is.
        reason: that it is dropped for, where it says none of its own.
        drop: is called with the camera, the reason and words for it.
    """
    try:
        yield
        return
    except BadImageError as error:
        reason, text = error.reason, str(error)
    except Exception as error:
        text = words(error)
    drop(camera, reason, text)


def words(error: Exception) -> str:
    """Return the kind of an error and what it says."""
    return f'{type(error).__name__}: {error}'
