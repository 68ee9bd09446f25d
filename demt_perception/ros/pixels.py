"""The pixels of whatever holds a picture. No rclpy."""

from typing import Any

import numpy as np

from demt_perception.ros.compressed import decode
from demt_perception.ros.conversions import to_bgr


def pixels_of(image: Any) -> np.ndarray:
    """Return a picture as BGR, uint8 HxWx3; of a message of bgr8 without a copy.

    Args:
        image: such an array, or anything with the fields of sensor_msgs/Image or CompressedImage.

    Raises:
        BadImageError: the message is damaged, or of an unknown encoding.
    """
    if isinstance(image, np.ndarray):
        return image
    return (to_bgr if hasattr(image, 'encoding') else decode)(image)
