"""``python -m sim SEED``: run one seed and say what happened."""

import argparse
import time

from sim.simulate import run, shrunk, simulation


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sim", description="Run seeds of the simulation.")
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=1, help="so many seeds from that one on")
    parser.add_argument("--whole", action="store_true", help="do not look for a shorter run that fails too")
    options = parser.parse_args()
    begin_s = time.monotonic()
    with simulation():
        for seed in range(options.seed, options.seed + options.count):
            result = run(seed, digest=options.count == 1)
            if result.failures:
                print((result if options.whole else shrunk(result)).report())
                return 1
    print(f"{options.count} runs in {time.monotonic() - begin_s:.1f} s, nothing is wrong {result.digest}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
