"""What the kernel says of a connection, tried on a real one."""

import socket
import sys

import pytest

from surgecast.delivery.adaptation.tcp_info import Account, between, read

linux = pytest.mark.skipif(sys.platform != "linux", reason="struct tcp_info is Linux")


@linux
def test_acknowledged_bytes_and_busy_time_grow_with_what_is_sent() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as viewer,
    ):
        peer, _ = server.accept()
        with peer:
            before = read(peer)
            peer.sendall(b"x" * 200_000)
            left = 200_000
            while left:
                left -= len(viewer.recv(65536))
            after = read(peer)
    assert before is not None and after is not None
    seen = between(before, after)
    # The last acknowledgement may be under way, and the first one is that of the handshake.
    assert 100_000 <= seen.sent_bytes <= 200_001
    assert after.rtt_s > 0 and seen.busy_s >= 0


def test_there_is_nothing_to_see_of_what_is_no_tcp_socket() -> None:
    assert read(None) is None
    one, other = socket.socketpair()
    with one, other:
        assert read(one) is None


def test_a_rate_that_we_limited_ourselves_says_nothing() -> None:
    before = Account(False, 0.01, 1000, 5e6, 1.0)
    after = Account(True, 0.02, 251_000, 9e6, 1.5)
    seen = between(before, after)
    assert (seen.sent_bytes, seen.busy_s, seen.rtt_s, seen.delivery_bps) == (
        250_000,
        0.5,
        0.02,
        None,
    )
    assert seen.rate_bps == 4e6
