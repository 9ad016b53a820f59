"""The breaker counts what its declaration says, across restarts."""

from stream_apps.compute.breaker import AT_LEAST, IN_A_ROW, WINDOW, Breaker, reason_to_stop


def test_a_few_bad_ones_pass() -> None:
    breaker = Breaker()
    breaker.count(50, list(range(50)))
    assert reason_to_stop([breaker]) is None
    breaker.count(WINDOW, list(range(49)))
    assert reason_to_stop([breaker]) is None


def test_more_than_one_in_a_hundred_stops() -> None:
    breaker = Breaker()
    breaker.count(WINDOW - AT_LEAST, [])
    breaker.count(AT_LEAST, list(range(AT_LEAST)))
    assert reason_to_stop([breaker]) is None
    breaker.count(100, [0, 1, 2, 3, 4])
    assert reason_to_stop([breaker]) is not None


def test_old_ones_leave_the_window() -> None:
    breaker = Breaker()
    breaker.count(90, list(range(90)))
    for _ in range(12):
        breaker.count(1_000, [])
    breaker.count(90, list(range(89)))
    assert reason_to_stop([breaker]) is None


def test_a_run_stops_whatever_the_share_across_batches_and_restarts() -> None:
    breaker = Breaker()
    breaker.count(400_000, list(range(400_000 - 600, 400_000)))
    assert breaker.run == 600
    again = Breaker(*breaker.dump())
    again.count(1_000, [*range(400), 999])
    assert again.run == IN_A_ROW
    assert reason_to_stop([Breaker([(1_000_000, 0)]), again]) is not None


def test_partitions_of_a_family_count_together() -> None:
    parts = [Breaker() for _ in range(4)]
    for part in parts:
        part.count(2_000, list(range(0, 2_000, 60)))
    assert reason_to_stop(parts[:1]) is None
    assert reason_to_stop(parts) is not None
