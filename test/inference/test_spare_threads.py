"""Threads are used again, one that hangs is not waited for, and nothing of a work is kept."""

import gc
import os
import threading
import weakref

import pytest

from demt_perception.inference.spare_threads import keep_ready, Work


def done_in_thread():
    """Return the thread that did a work."""
    threads = []
    work = Work(lambda: threads.append(threading.current_thread()), name='one')
    work.start()
    work.join()
    return threads[0]


def test_threads_are_used_again_and_named():
    threads = {done_in_thread() for _ in range(50)}
    assert len(threads) == 1
    names = []
    work = Work(lambda *arguments: names.append((threading.current_thread().name, arguments)),
                1, 2, name='publication')
    work.start()
    work.join()
    assert names == [('publication', (1, 2))]


def test_works_at_the_same_time_have_threads_of_their_own():
    meet = threading.Barrier(3)
    works = [Work(meet.wait, 20, name='meets') for _ in range(2)]
    for work in works:
        work.start()
    meet.wait(20)   # each got there: they run beside each other
    for work in works:
        work.join(20)
        assert not work.is_alive()


def test_works_at_once_find_the_threads_that_were_started_before():
    keep_ready(5)
    before = set(threading.enumerate())
    meet = threading.Barrier(6)
    works = [Work(meet.wait, 20, name='meets') for _ in range(5)]
    for work in works:
        work.start()
    meet.wait(20)
    assert set(threading.enumerate()) == before
    for work in works:
        work.join(20)
    keep_ready(5)   # they wait again: none is started
    assert set(threading.enumerate()) == before


def test_a_work_that_hangs_is_seen_and_leaves_the_others_alone():
    go_on = threading.Event()
    work = Work(go_on.wait, name='hangs')
    assert not work.is_alive()
    work.join()   # not begun: nothing to wait for
    work.start()
    work.join(0.05)
    assert work.is_alive()
    assert done_in_thread().is_alive()
    go_on.set()
    work.join(20)
    assert not work.is_alive()


def test_an_error_is_said_as_in_any_thread_and_the_thread_goes_on(monkeypatch):
    said = []
    monkeypatch.setattr(threading, 'excepthook', lambda error: said.append(
        (error.exc_type, error.thread.name)))
    before = done_in_thread()

    def fails():
        raise ValueError('no')

    work = Work(fails, name='fails')
    work.start()
    work.join()
    assert said == [(ValueError, 'fails')]
    assert not work.is_alive() and done_in_thread() is before


def test_what_a_work_refers_to_is_let_go():
    class Model:
        pass

    model = Model()
    gone = weakref.ref(model)
    work = Work(lambda model: None, model, name='one')
    del model
    gc.disable()
    try:
        work.start()
        work.join()
        assert gone() is None and not work.is_alive()
    finally:
        gc.enable()


def test_an_error_that_cannot_be_said_ends_the_thread_and_is_no_hang(monkeypatch):
    def fails(*_):
        raise BrokenPipeError('nobody reads')

    monkeypatch.setattr(threading, 'excepthook', fails)
    work = Work(fails, name='fails')
    work.start()
    work.join(20)
    assert not work.is_alive()
    monkeypatch.undo()
    assert done_in_thread().is_alive()


def test_a_forked_process_has_threads_of_its_own():
    done_in_thread()
    child = os.fork()
    if not child:
        work = Work(lambda: None, name='one')
        work.start()
        work.join(10)
        os._exit(work.is_alive())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_opencv_keeps_something_for_each_thread():
    """The reason for all of this: without it, this module should go."""
    pytest.importorskip('numpy')
    import ctypes

    import cv2
    import numpy as np

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in (
            'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks',
            'fordblks', 'keepcost')]

    libc = ctypes.CDLL(None)
    if not hasattr(libc, 'mallinfo2'):
        pytest.skip('no mallinfo2 in this C library')
    libc.mallinfo2.restype = Info
    image = np.zeros((36, 64, 3), np.uint8)

    def kept(start, times=100):
        def once():
            for _ in range(times):
                start(lambda: cv2.resize(image, (32, 18)))
            gc.collect()
            return libc.mallinfo2().uordblks
        once()
        return (once() - once()) / -times

    def ending(target):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

    def spare(target):
        work = Work(target, name='one')
        work.start()
        work.join()

    assert kept(ending) > 300   # bytes
    assert kept(spare) < 100
