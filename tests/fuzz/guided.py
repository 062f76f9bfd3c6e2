"""One target under atheris (libFuzzer), guided by coverage: `python -m tests.fuzz.guided NAME`.

What follows the name goes to libFuzzer. The process ends with the run.
"""

import logging
import sys

import atheris


def main() -> None:
    name = sys.argv.pop(1)
    logging.disable()
    # Everything a target imports is instrumented, so it must be imported here and no earlier.
    with atheris.instrument_imports(
        include=["surgecast", "segmenter", "origin", "player", "m3u8"], enable_loader_override=False
    ):
        from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    atheris.Setup(sys.argv, lambda data: target.run(bytes(data)) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
