"""Names and colours of the classes of known data sets, in the order of their ids."""

NYUD = ('wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table', 'door', 'window', 'bookshelf',
        'picture', 'counter', 'blinds', 'desk', 'shelves', 'curtain', 'dresser', 'pillow',
        'mirror', 'floor mat', 'clothes', 'ceiling', 'books', 'refrigerator', 'television',
        'paper', 'towel', 'shower curtain', 'box', 'whiteboard', 'person', 'night stand',
        'toilet', 'sink', 'lamp', 'bathtub', 'bag', 'other structure', 'other furniture',
        'other prop')
PASCAL = ('background', 'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat',
          'chair', 'cow', 'dining table', 'dog', 'horse', 'motorbike', 'person', 'potted plant',
          'sheep', 'sofa', 'train', 'tv monitor')
HUMAN_PARTS = ('background', 'head', 'torso', 'upper arm', 'lower arm', 'upper leg', 'lower leg')

CITYSCAPES = ('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light',
              'traffic sign', 'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck',
              'bus', 'train', 'motorcycle', 'bicycle')
CITYSCAPES_PALETTE = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
    (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
    (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
    (0, 80, 100), (0, 0, 230), (119, 11, 32))


def voc_palette(count: int, first: int = 0) -> tuple[tuple[int, int, int], ...]:
    """Return the colours of PASCAL VOC for ids ``first`` onwards; id 0 is black.

    Bits of the id are dealt to the channels in turn, highest bits of the colour first.
    """
    def color(number: int) -> tuple[int, int, int]:
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
        return channels[0], channels[1], channels[2]
    return tuple(color(number) for number in range(first, first + count))
