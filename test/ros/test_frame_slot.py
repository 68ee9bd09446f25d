import threading
import time

from demt_perception.ros.frame_slot import FrameSlot


def test_the_newest_wins():
    slot = FrameSlot()
    assert [slot.put(n) for n in range(4)] == [False, True, True, True]
    assert slot.take() == 3
    assert slot.put(4) is False


def test_take_waits_for_an_item():
    slot = FrameSlot()
    got = []
    thread = threading.Thread(target=lambda: got.append(slot.take()))
    thread.start()
    slot.put('item')
    thread.join(10)
    assert got == ['item']


def test_wait_empty_waits_until_the_item_is_taken():
    slot = FrameSlot()
    assert slot.wait_empty()
    slot.put(1)
    emptied = threading.Event()
    thread = threading.Thread(target=lambda: slot.wait_empty() and emptied.set())
    thread.start()
    assert not emptied.wait(0.05)
    assert slot.take() == 1
    assert emptied.wait(10)
    thread.join(10)


def test_close_wakes_everybody_and_keeps_nothing():
    slot = FrameSlot()
    got = []
    threads = [threading.Thread(target=lambda: got.append(slot.take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    slot.close()
    for thread in threads:
        thread.join(10)
    assert got == [None] * 3
    slot.put(1)
    assert slot.take() is None
    assert slot.wait_empty() is False


def test_a_slow_reader_sees_ascending_items_and_the_last():
    slot = FrameSlot()
    seen = []

    def read():
        while (item := slot.take()) is not None:
            seen.append(item)
            time.sleep(0.001)

    thread = threading.Thread(target=read)
    thread.start()
    dropped = sum(slot.put(n) for n in range(1, 3000))
    assert slot.wait_empty()
    slot.close()
    thread.join(10)
    assert seen == sorted(set(seen))
    assert seen[-1] == 2999
    assert len(seen) + dropped == 2999
