from demt_perception.targets import detect_target, TARGETS


def write(path, content=b''):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_plain_machine(tmp_path):
    assert detect_target(tmp_path) == 'cpu'


def test_an_nvidia_driver(tmp_path):
    write(tmp_path / 'proc/driver/nvidia/version')
    assert detect_target(tmp_path) == 'desktop'


def test_a_jetson_by_its_device_tree(tmp_path):
    write(tmp_path / 'proc/driver/nvidia/version')
    write(tmp_path / 'proc/device-tree/model', b'NVIDIA Jetson AGX Orin\0')
    assert detect_target(tmp_path) == 'jetson'


def test_a_jetson_by_its_release_file(tmp_path):
    write(tmp_path / 'etc/nv_tegra_release', b'# R36')
    assert detect_target(tmp_path) == 'jetson'


def test_this_machine_has_a_target():
    assert detect_target() in TARGETS
