"""What a process that a model has taken over could do: `python -m tests.doubles.hostile_child`.

The last two bytes of the model say what.
"""

import os
import struct
import sys
import time


def main() -> None:
    told = sys.stdin.buffer.read()
    sizes = struct.unpack("<6q", told[32:80])
    names, model = told[80 : 80 + sizes[0]], told[80 + sizes[0] : 80 + sizes[0] + sizes[1]]
    match model[-2:]:
        case b"AB":
            os.abort()
        case b"EX":
            os._exit(77)
        case b"FL":
            for _ in range(200):
                os.write(1, names * 10_000)
            os._exit(0)
        case b"FK":
            # a grandchild that would go on, and says its number where the test looks
            if pid := os.fork():
                with open(names.decode().split("\n")[2], "w") as file:
                    file.write(str(pid))
            time.sleep(60)


if __name__ == "__main__":
    main()
