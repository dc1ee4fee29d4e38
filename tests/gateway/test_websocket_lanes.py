"""The order in which a connection's requests begin, without a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.hub.errors import InvalidRequest, TooManyRequests
from antiphon.hub.format import CreateFrame
from antiphon.server.ws_lanes import Lanes, SocketLimits, SocketRequest


def _frame(stream_id: str | None, number: int = 0) -> CreateFrame:
    return CreateFrame(stream_id=stream_id, generate=True, body={"number": number})


@given(
    st.lists(st.tuples(st.sampled_from([None, "a", "b", "c", "d"]), st.integers(0, 3)), max_size=40), st.integers(1, 4)
)
def test_requests_begin_in_order(steps: list[tuple[str | None, int]], max_running: int) -> None:
    """Never two of a lane at once, never more than allowed, each lane in its order, and all of them in the end."""
    lanes = Lanes(SocketLimits(max_running=max_running, max_waiting=100))
    running: list[SocketRequest] = []
    begun: list[tuple[str | None, int]] = []

    def begin() -> None:
        while (request := lanes.begin()) is not None:
            running.append(request)
            begun.append((request.frame.stream_id, request.frame.body["number"]))
            assert len(running) <= max_running
            assert len({one.lane.stream_id for one in running}) == len(running)

    for number, (stream_id, ends) in enumerate(steps):
        lanes.add(_frame(stream_id, number), 1)
        begin()
        for _ in range(min(ends, len(running))):
            lanes.end(running.pop(0))
            begin()
    while running:
        lanes.end(running.pop())
        begin()
    for lane in {stream_id for stream_id, _ in steps}:
        asked = [number for number, (stream_id, _) in enumerate(steps) if stream_id == lane]
        assert asked == [number for stream_id, number in begun if stream_id == lane]


def test_the_oldest_that_may_begin_begins() -> None:
    """A request that has to wait for its lane does not hold up those behind it."""
    lanes = Lanes(SocketLimits(max_running=2))
    for number, stream_id in enumerate(["a", "a", "b", "c"]):
        lanes.add(_frame(stream_id, number), 1)
    first, second = lanes.begin(), lanes.begin()
    assert first is not None
    assert second is not None
    assert (first.frame.body["number"], second.frame.body["number"]) == (0, 2)
    assert lanes.begin() is None
    lanes.end(second)
    third = lanes.begin()
    assert third is not None
    assert third.frame.body["number"] == 3


def test_waiting_is_limited_in_bytes() -> None:
    """One request may always wait, a second only if both are short enough; what began waits no more."""
    lanes = Lanes(SocketLimits(max_waiting_bytes=100))
    lanes.add(_frame("a"), 1000)
    with pytest.raises(TooManyRequests):
        lanes.add(_frame("a"), 1)
    assert lanes.begin() is not None
    lanes.add(_frame("a"), 60)
    with pytest.raises(TooManyRequests):
        lanes.add(_frame("a"), 60)
    assert len(lanes.empty()) == 1
    lanes.add(_frame("a"), 1000)


def test_the_lane_without_a_name_is_none_of_those_that_count() -> None:
    """32 names and it are 33 lanes."""
    lanes = Lanes(SocketLimits(max_streams=2))
    for stream_id in ("a", None, "b", "a", None):
        lanes.add(_frame(stream_id), 1)
    with pytest.raises(InvalidRequest, match="maximum number of distinct stream IDs"):
        lanes.add(_frame("c"), 1)


def test_a_lane_remembers_its_latest_response_only() -> None:
    """And nothing of one that the store knows."""
    lanes = Lanes(SocketLimits())
    lanes.add(_frame("a"), 1)
    request = lanes.begin()
    assert request is not None
    lane = request.lane
    lane.remember("resp_1", ())
    lane.remember("resp_2", ())
    assert lanes.contexts() == {"resp_2": ()}
    lane.forget("resp_1")
    lane.forget(None)
    assert lanes.contexts() == {"resp_2": ()}
    lane.forget("resp_2")
    assert lanes.contexts() == {}
    lane.remember("resp_3", None)
    assert lanes.contexts() == {}
