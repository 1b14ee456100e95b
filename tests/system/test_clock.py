"""Clocks that jump while `tarn fetch` and `tarn seed` run, as after a night of sleep, or when somebody
sets the time: they go on."""
import threading

import pytest
from fakepeer import Content, FakePeer, call, fetch_block
from faults import Clock, shimmed
from programs import PATIENCE, TarnFetch, TarnSeed

HOUR, YEAR = 3600, 365 * 24 * 3600
JUMPS = {
    "3 hours": (3 * HOUR, 3 * HOUR),
    "2 minutes": (120, 120),
    "a year": (YEAR, YEAR),
    "the time of day 10 years back": (0, -10 * YEAR),
    "the time of day 10 years on": (0, 10 * YEAR),
}


class Waiting(FakePeer):
    """Stops in the middle until it is told to go on; a new connection is served at once then."""

    def __init__(self, content):
        self.half, self.go_on = threading.Event(), threading.Event()
        self.served = 0
        super().__init__(content)

    def on_request(self, wire, piece, begin, length):
        self.served += 1
        if self.served > len(self.content.data) // 32768:
            self.half.set()
            self.go_on.wait(PATIENCE)
        super().on_request(wire, piece, begin, length)


@pytest.mark.parametrize("what", JUMPS)
def test_fetch(sample, tmp_path, what):
    s = sample("single", "hybrid")
    clock = Clock(tmp_path / "clock")
    with Waiting(Content(s.torrent, s.home)) as peer:
        options = ["--no-tracker", "--peer", peer.address]
        env = shimmed(clock=clock)
        with TarnFetch(s.torrent, tmp_path / "got", *options, env=env) as run:
            assert peer.half.wait(PATIENCE), run.story()
            clock.jump(*JUMPS[what])
            peer.go_on.set()
            assert run.wait(2 * PATIENCE) == 0, run.story()
    s.assert_same(tmp_path / "got")


def test_both_sides_again_and_again(sample, tmp_path):
    """Limits of rates, too, are kept in time: they neither stop nor let everything through."""
    s = sample("single", "v1")
    clock = Clock(tmp_path / "clock")
    env = shimmed(clock=clock)
    with TarnSeed(s.torrent, s.home, "--no-tracker", "--rate-up=1M", env=env) as seed:
        options = ["--no-tracker", "--peer", seed.address]
        with TarnFetch(s.torrent, tmp_path / "got", *options, env=env) as run:
            for at in range(1, 5):
                run.wait_for(lambda e: e.get("done", 0) >= at * 800_000, "it goes on", 2 * PATIENCE)
                clock.jump(20 * 60, 20 * 60)
            assert run.wait(2 * PATIENCE) == 0, run.story()
        with call(seed.address, Content(s.torrent, s.home)) as wire:
            fetch_block(wire, Content(s.torrent, s.home))
        seed.process.terminate()
        assert seed.wait() == 0, seed.story()
    s.assert_same(tmp_path / "got")


def test_patience_is_no_longer_than_it_was(sample, tmp_path):
    """Nobody to ask, and the night passes: it ends, with a sentence."""
    s = sample("single", "v1")
    clock = Clock(tmp_path / "clock")
    options = ["--no-tracker", "--patience=1000"]
    with TarnFetch(s.torrent, tmp_path / "got", *options, env=shimmed(clock=clock)) as run:
        run.wait_for(lambda e: e.get("state") == "fetching", "it looks for peers")
        run.ended_or(3)  # so that it has noticed that it is alone
        clock.jump(HOUR, HOUR)
        assert run.wait() == 6, run.story()
