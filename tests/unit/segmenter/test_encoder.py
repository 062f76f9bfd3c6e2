from fractions import Fraction

from segmenter.encoder import Encoder
from segmenter.ladder import Ladder, Rung
from surgecast.clock import RealClock
from surgecast.log import Log

LADDER = Ladder(
    kind="by_resolution",
    rungs=(Rung("low", 320, 180, 200_000, 220_000),),
    preset="ultrafast",
    audio_bps=128_000,
    frame_rate=Fraction(25),
    segment_frames=25,
    level="3.0",
)
LEAVING = 'trap "exit 255" TERM; exec {pipe}>&-; sleep 0.05; exit 0'


async def test_a_run_that_went_well_is_not_interrupted_on_its_way_out() -> None:
    """Pipes are closed before the process ends; its status counts, not that of a signal."""
    encoder = Encoder(LADDER, lambda _: None, clock=RealClock(), log=Log("test"))
    status = await encoder.run(lambda pipes: ["bash", "-c", LEAVING.format(pipe=pipes[0])])
    assert status == 0
