from demt_perception.ros.stamps import age_seconds, Order, SECOND, since_stamp, StampOrder

MS = SECOND // 1000


def judge(stamps):
    order = StampOrder()
    return [order.judge(stamp).value for stamp in stamps]


def test_ascending_and_equal_stamps_are_good():
    assert judge([5, 5, 6, 6 + SECOND]) == ['good'] * 4
    assert judge([0, 0, 0]) == ['good'] * 3


def test_a_late_frame_is_told_from_a_restart():
    assert judge([900 * MS, 933 * MS, 910 * MS, 966 * MS]) == ['good', 'good', 'late', 'good']
    assert judge([9 * SECOND, 2 * SECOND, 2 * SECOND + MS]) == ['good', 'restart', 'good']


def test_frames_stay_in_order_after_a_late_one():
    """1 4 2 3 5: neither 2 nor 3 may be published after 4."""
    assert judge([MS, 4 * MS, 2 * MS, 3 * MS, 5 * MS]) == ['good', 'good', 'late', 'late', 'good']


def test_a_recording_shorter_than_a_second_does_not_stall():
    loop = [n * 100 * MS for n in range(8)]
    judged = judge(loop * 3)
    assert judged[8:12] == ['late'] * 4
    assert judged[12] == 'restart'
    assert judged[13:16] == ['good'] * 3
    assert judged.count('restart') == 2


def test_two_cameras_with_clocks_apart_count_as_late():
    stamps = [n * 33 * MS - (300 * MS if n % 2 else 0) + 10 * SECOND for n in range(20)]
    assert judge(stamps)[1::2] == [Order.LATE.value] * 10


def test_ages():
    assert age_seconds(3 * SECOND, SECOND) == 2
    assert age_seconds(0, SECOND) is None, 'no /clock yet'
    assert age_seconds(SECOND, 0) is None, 'no stamp'
    assert age_seconds(SECOND, 2 * SECOND) is None, 'stamp ahead of the clock'


def test_a_stamp_that_is_ahead_is_told_and_what_is_not_known_is_not():
    assert since_stamp(3 * SECOND, SECOND) == 2
    assert since_stamp(SECOND, 2 * SECOND) == -1
    assert since_stamp(0, SECOND) is None
    assert since_stamp(SECOND, 0) is None
