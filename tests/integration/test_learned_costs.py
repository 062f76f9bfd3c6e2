"""What a real worker does with a real channel is learned by the manager, and kept."""

from pathlib import Path

import pytest

from tests.support.origins import channel, until
from tests.support.worker_fleet import worker_fleet


@pytest.mark.long
async def test_what_a_channel_took_is_learned_when_it_leaves_a_worker(tmp_path: Path) -> None:
    wanted = {"a": channel(encoder="worker", slate={"after_s": 60}, worker={"wait_s": 60})}
    async with worker_fleet(tmp_path, {"w1": 0.3, "w2": 0.3}, wanted, constant_s=5) as fleet:
        await fleet.origin.ready()
        task = await fleet.running()

        async def constant() -> bool:
            _, told = await fleet.manager.json("/api/v1/workers")
            return any(
                one["worker"] == task["worker"] and one["constant_s"] > 8 for one in told["workers"]
            )

        await until(constant, "a worker whose tasks stay")
        other = "w2" if task["worker"] == "w1" else "w1"
        status, told = await fleet.manager.json("/api/v1/tasks/a", "PUT", json={"worker": other})
        assert status == 200, told

        async def learned() -> bool:
            return bool(await fleet.manager.metric("surgecast_transcode_samples_total"))

        await until(learned, "a sample")
        factor = await fleet.manager.metric("surgecast_transcode_channel_factor")
        assert 0.05 < factor < 20
        assert await fleet.manager.terminate() == 0
        assert list((tmp_path / "manager" / "models").glob("placement-*.model"))
        await fleet.manager.restart()
        again = await fleet.manager.metric("surgecast_transcode_channel_factor")
        assert again == pytest.approx(factor), "what was learned goes on"
