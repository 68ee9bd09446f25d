"""Small datasets written in the layouts of the real archives, for tests of data and protocols.

Every picture shows a ground plane, a wall and a few boxes whose colours tell their class, so
that a short training can learn something.
"""

from pathlib import Path

import cv2
import numpy as np
import yaml

COLORS = np.random.default_rng(7).integers(0, 256, (256, 3), np.uint8)


def scene(rng, size, classes):
    """Return RGB, ids, depth in metres and unit normals of one made-up picture."""
    height, width = size
    ids = np.zeros(size, np.uint8)
    ids[height // 2:] = 1 % classes
    depth = np.full(size, 4.0, np.float32)
    rows = np.arange(height // 2, height, dtype=np.float32)
    depth[height // 2:] = (4 * (height / 2 + 1) / (rows - height / 2 + height / 2 + 1))[:, None]
    normals = np.zeros((*size, 3), np.float32)
    normals[...] = (0, 0, -1)
    normals[height // 2:] = (0, -1, 0)
    for _ in range(4):
        top, left = int(rng.integers(0, height - 8)), int(rng.integers(0, width - 8))
        box = slice(top, top + int(rng.integers(6, max(7, height // 2)))), \
            slice(left, left + int(rng.integers(6, max(7, width // 2))))
        ids[box] = rng.integers(0, classes)
        depth[box] = rng.uniform(1, 3)
        normals[box] = (0.6, 0, -0.8)
    image = np.clip(COLORS[ids] + rng.integers(-9, 10, (*size, 3)), 0, 255).astype(np.uint8)
    return image, ids, depth, normals


def outline(ids):
    """Return bool (H, W): where the id differs from the one to the right or below."""
    out = np.zeros(ids.shape, bool)
    out[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    out[:-1] |= ids[:-1] != ids[1:]
    return out


def write_rgb(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])


def write_grey(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_npy(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def write_names(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{name}\n' for name in names))


def as_8_bits(normals):
    return np.round((normals + 1) * 127.5).astype(np.uint8)


def write_nyud(root, size=(425, 560), count=2, archive=None):
    """Write NYUD-v2 with `count` pictures in each split; return the archive's folder.

    `archive` is 'demt' (NYUDv2, PNG) or 'mtl' (NYUD_MT, JPEG and .npy); by size where None.
    """
    archive = archive or ('mtl' if tuple(size) == (480, 640) else 'demt')
    home = Path(root, 'NYUD_MT' if archive == 'mtl' else 'NYUDv2')
    rng = np.random.default_rng(0)
    for split, first in (('train', 1), ('val', 5001)):
        names = [f'{number:04d}' for number in range(first, first + count)]
        write_names(home / 'gt_sets' / f'{split}.txt', names)
        for name in names:
            image, ids, depth, normals = scene(rng, size, 40)
            edge = outline(ids)
            raw = ids + 1
            raw[:2, :2] = 0
            depth[-2:, -2:] = 0
            write_grey(home / 'segmentation' / f'{name}.png', raw)
            write_npy(home / 'depth' / f'{name}.npy', depth)
            if archive == 'mtl':
                write_rgb(home / 'images' / f'{name}.jpg', image)
                write_npy(home / 'edge' / f'{name}.npy', edge.astype(np.float32))
                write_npy(home / 'normals' / f'{name}.npy', normals)
            else:
                write_rgb(home / 'images' / f'{name}.png', image)
                write_grey(home / 'edge' / f'{name}.png', edge.astype(np.uint8) * 255)
                write_rgb(home / 'normals' / f'{name}.png', as_8_bits(normals))
    return home


def write_pascal(root, count=2, size=(75, 100), archive='demt'):
    """Write PASCAL-Context with `count` pictures in each split; return the archive's folder.

    Every other picture has a person; every third has its classes in semseg/pascal-context.
    """
    from scipy.io import savemat
    home = Path(root, 'PASCAL_MT' if archive == 'mtl' else 'PASCALContext')
    rng = np.random.default_rng(1)
    for split, first in (('train', 1), ('val', 501)):
        names = [f'2008_{number:06d}' for number in range(first, first + count)]
        write_names(home / 'ImageSets' / 'Context' / f'{split}.txt', names)
        for number, name in enumerate(names):
            image, ids, _, normals = scene(rng, size, 21)
            if number % 2 == 0:
                ids[10:40, 20:40] = 15
            semseg = ids.copy()
            semseg[outline(ids)] = 255
            # Ids of 459: 158 floor and 440 wall have normals, 360 sky has none.
            label_map = np.uint16((360, 158, 440))[ids % 3]
            write_rgb(home / 'JPEGImages' / f'{name}.jpg', image)
            where = 'pascal-context' if number % 3 == 2 else 'VOC12'
            (home / 'semseg' / where).mkdir(parents=True, exist_ok=True)
            (home / 'semseg' / where / f'{name}.png').write_bytes(palette_png(semseg))
            write_rgb(home / 'normals_distill' / f'{name}.png', as_8_bits(normals))
            write_grey(home / 'sal_distill' / f'{name}.png', ((ids == 15) * 230 + 10).astype('u1'))
            for folder in ('pascal-context/trainval', 'human_parts'):
                (home / folder).mkdir(parents=True, exist_ok=True)
            savemat(home / 'pascal-context' / 'trainval' / f'{name}.mat', {'LabelMap': label_map})
            savemat(home / 'human_parts' / f'{name}.mat',
                    annotation(name, size, number % 2 == 0), do_compression=True)
    return home


def annotation(name, size, person):
    """Return the nested cells of one PASCAL-Part file: a table, and perhaps a person."""
    def cells(rows, fields):
        out = np.empty((1, len(rows)), [(field, object) for field in fields])
        for i, row in enumerate(rows):
            out[0, i] = row
        return out

    def where(top, bottom, left, right):
        mask = np.zeros(size, np.uint8)
        mask[top:bottom, left:right] = 1
        return mask

    objects = [('table', np.array([[11]]), where(0, 5, 0, 5), np.zeros((0, 0)))]
    if person:
        parts = cells([('torso', where(20, 30, 20, 40)), ('head', where(10, 20, 25, 35)),
                       ('llarm', where(20, 30, 20, 24)), ('rfoot', where(36, 40, 30, 40))],
                      ('part_name', 'mask'))
        objects.append(('person', np.array([[15]]), where(10, 40, 20, 40), parts))
    return {'anno': cells([(name, cells(objects, ('class', 'class_ind', 'mask', 'parts')))],
                          ('imname', 'objects'))}


def palette_png(ids):
    """Return the bytes of a palette PNG, as PASCAL VOC has them."""
    import struct
    import zlib

    def chunk(kind, data):
        body = kind + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))

    height, width = ids.shape
    rows = b''.join(b'\0' + row.tobytes() for row in ids)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 3,
                                                              0, 0, 0))
            + chunk(b'PLTE', COLORS.tobytes()) + chunk(b'IDAT', zlib.compress(rows))
            + chunk(b'IEND', b''))


def write_folder(root, count=2, size=(60, 80), splits=True):
    """Write a user's folder with every task and cameras; return it."""
    root = Path(root)
    rng = np.random.default_rng(2)
    names = [f'frame_{number}' for number in range(2 * count)]
    for number, name in enumerate(names):
        image, ids, depth, normals = scene(rng, size, 5)
        semseg = ids.copy()
        semseg[0, 0] = 255
        write_rgb(root / 'images' / f'{name}.{"jpg" if number % 2 else "png"}', image)
        write_grey(root / 'semseg' / f'{name}.png', semseg)
        if number % 2:
            write_grey(root / 'depth' / f'{name}.png', np.uint16(depth * 1000))
            write_rgb(root / 'normals' / f'{name}.png', as_8_bits(normals))
        else:
            depth[0] = np.inf
            write_npy(root / 'depth' / f'{name}.npy', depth)
            normals[0] = 0
            write_npy(root / 'normals' / f'{name}.npy', normals.astype(np.float16))
        edge = outline(ids).astype(np.uint8) * 255
        edge[0, 0] = 127
        write_grey(root / 'edge' / f'{name}.png', edge)
        write_grey(root / 'human_parts' / f'{name}.png', np.uint8(ids == 4))
        write_grey(root / 'sal' / f'{name}.png', np.uint8(ids == 4) * 255)
        (root / 'cameras').mkdir(exist_ok=True)
        (root / 'cameras' / f'{name}.yaml').write_text(yaml.safe_dump({'fx': 70.0, 'fy': 71.0}))
    if splits:
        write_names(root / 'splits' / 'train.txt', names[:count])
        write_names(root / 'splits' / 'val.txt', names[count:])
    (root / 'dataset.yaml').write_text(yaml.safe_dump({
        'classes': ['sky', 'ground', 'wall', 'thing', 'person'],
        'palette': [[0, 0, 255], [0, 255, 0], [255, 0, 0], [9, 9, 9], [200, 100, 0]],
        'focal': 65}))
    return root


def write_camvid(root, count=2, size=(36, 48)):
    """Write CamVid in the SegNet layout; return it."""
    root = Path(root)
    rng = np.random.default_rng(3)
    for split in ('train', 'val', 'test'):
        for number in range(count):
            image, ids, _, _ = scene(rng, size, 12)
            write_rgb(root / split / f'{split}_{number}.png', image)
            write_grey(root / f'{split}annot' / f'{split}_{number}.png', ids)
    return root


def write_rendered(root, count=2, size=(36, 48)):
    """Write street views in the layout of `demt generate`, by its own writer; return it."""
    from demt_perception.synthetic.layout import prepare, write_view
    root = Path(root)
    rng = np.random.default_rng(4)
    prepare(root, size[::-1], samples=4)
    for number in range(count):
        image, ids, depth, normals = scene(rng, size, 11)
        depth[:3] = np.inf
        normals[:3] = 0
        jpeg = cv2.imencode('.jpg', image[..., ::-1])[1].tobytes()
        write_view(root, f'{number:05d}', jpeg, ids.astype(np.int64) * 2048, ids, ids, depth,
                   normals, outline(ids), {'fx': 50.0, 'fy': 50.0})
    return root
