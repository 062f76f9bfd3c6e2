import math

import pytest

from simulation.evaluate.machine_specs import specs, year

ROW = {
    "cpu": "Intel Xeon Gold 6130",
    "sockets": "2",
    "cores_per_socket": "16",
    "threads_per_core": "2",
    "max_mhz": "3700.0000",
    "l3": "22528K",
    "model_name": "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
}


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ("Intel Xeon X5670", 2010),
        ("Intel Xeon E5-2630L", 2012),
        ("Intel Xeon E5-2660 v2", 2013),
        ("Intel Xeon E5-2620 v4", 2016),
        ("Intel Xeon Silver 4110", 2017),
        ("Intel Xeon Gold 5218R", 2019),
        ("AMD EPYC 7351", 2017),
        ("AMD EPYC 7742", 2019),
    ],
)
def test_the_generation_of_a_processor_is_read_from_its_name(cpu, expected):
    assert year(cpu) == expected


def test_what_the_sheet_says_is_told_in_numbers_and_what_it_does_not_is_missing():
    found = specs(ROW)
    assert (found["cores_log2"], found["base_ghz"], found["amd"]) == (5.0, 2.1, 0.0)
    unknown = specs({**ROW, "cpu": "Homemade", "max_mhz": "", "model_name": "Homemade"})
    missing = {name for name, value in unknown.items() if math.isnan(value)}
    assert missing == {"base_ghz", "turbo_mhz_log2", "year"}
