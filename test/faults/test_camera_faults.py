"""Faults of the camera: it stops, dies, floods, sends what is no image, and changes its ways."""

import time

from bad_images import RAW
from campaign import fault, OK, WARN
from node_testing import best_effort
from pictures import ENCODINGS
from sensor_msgs.msg import Image

SIZES = (48, 64), (97, 161), (2, 2), (64, 400), (240, 320)


@fault('The camera stops', 'it is there, and sends nothing for longer than no_frame_timeout')
def test_the_camera_stops(bench):
    bench.flow()
    stopped = bench.report(lambda report: report.level == WARN and 'no frame on' in report.text)
    assert bench.image_topic in stopped.text
    assert 'nothing arrives' in stopped.text
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN: no frame on the topic, who publishes it, and why it may be')


@fault('The camera goes away', 'its publisher is destroyed, another one comes')
def test_the_camera_goes_away(bench):
    bench.flow()
    bench.tester.node.destroy_publisher(bench.camera)
    bench.report(lambda report: report.level == WARN and 'nobody publishes it' in report.text)
    bench.camera = bench.tester.node.create_publisher(Image, bench.image_topic, best_effort(1))
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN: nobody publishes the topic')


@fault('Flood', '10 times the rate: 300 pictures a second')
def test_flood(bench):
    bench.flow()
    before = bench.report(feed=True)
    end = time.monotonic() + bench.times(0.5, 5)
    bench.stream(lambda: time.monotonic() > end, rate=300)
    bench.recover()
    after = bench.report(lambda report: report.level == OK, 'all well', feed=True)
    counts = {name: int(after.values.get(name, 0)) - int(before.values.get(name, 0))
              for name in ('received', 'processed', 'dropped', 'dropped_superseded', 'idle')}
    assert counts['dropped'] == counts['dropped_superseded'], 'nothing else is dropped'
    in_work = counts['received'] - counts['processed'] - counts['dropped'] - counts['idle']
    assert abs(in_work) <= 6, 'every frame is accounted for'
    bench.saw('OK: the newest are processed, the others counted as superseded; each is accounted '
              'for')


@fault('Malformed images', f'{len(RAW)} kinds: sizes, steps, data, encodings that cannot be')
def test_malformed_images(bench):
    bench.flow()
    for reason, changes, says in RAW if bench.full else RAW[1::4]:
        counter = f'dropped_{reason}'
        before = bench.count(counter)

        def told(report, counter=counter, before=before, says=says, reason=reason):
            return (report.level == WARN and reason in report.text and says in report.text
                    and int(report.values[counter]) > before)

        # Again and again: some get lost, the next picture takes their place.
        with bench.every(0.05, lambda changes=changes: bench.send_bad(**changes)):
            bench.report(told, f'{reason} of {changes}', feed=True)
        bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN with value seen, value wanted and remedy; counted under its reason; nothing '
              'published of it')


@fault('Size changes', f'{len(SIZES) + 1} sizes in turn, another with every picture')
def test_size_changes(bench):
    bench.flow()
    before = bench.count('resolution_changed')
    for _ in range(bench.times(1, 5)):
        for size in SIZES:
            bench.flow(size=size)
        for size in SIZES * 3:
            bench.send(size=size)
            bench.tester.spin_for(1 / 30)
    bench.recover()
    assert bench.count('resolution_changed') >= before + len(SIZES)
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('outputs in the size of each picture; resolution_changed counted')


@fault('Encoding changes', f'{len(ENCODINGS)} encodings in turn, another with every picture')
def test_encoding_changes(bench):
    bench.flow()
    for _ in range(bench.times(1, 5)):
        for encoding in ENCODINGS:
            bench.flow(encoding=encoding)
        for encoding in list(ENCODINGS) * 3:
            bench.send(encoding=encoding)
            bench.tester.spin_for(1 / 30)
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('outputs of each as of its bgr8 picture')
