"""Pick a Python that fits the course and let it run tools/environment.py.

This one file also parses under very old Pythons (2.7 and every 3.x), because saying "this Python
is too old" in one sentence is its job: hence no f-strings and no type hints here.

Usage: python3 tools/pick_python.py [--only PYTHON] [arguments for tools/environment.py]
"""

import os
import subprocess
import sys

LOWEST = (3, 11)  # the same range as requires-python in pyproject.toml; a test compares them
BELOW = (3, 14)
OTHERS = ("python3", "python3.13", "python3.12", "python3.11", "python")


def version_of(python):
    """(major, minor) of the interpreter called `python`, or None where it does not start."""
    try:
        process = subprocess.Popen(
            [python, "-c", "import sys; print('%d %d' % sys.version_info[:2])"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        answer = process.communicate()[0].decode().split()
        return (int(answer[0]), int(answer[1]))
    except (OSError, ValueError, IndexError):
        return None


def fits(version):
    """Whether the course runs on this (major, minor)."""
    return version is not None and LOWEST <= version < BELOW


def dotted(version):
    """(3, 11) -> "3.11"."""
    return ".".join(str(part) for part in version)


def main(arguments):
    """Start tools/environment.py under a fitting Python, or say in one sentence why none fits."""
    range_text = "%s to %s" % (dotted(LOWEST), dotted((BELOW[0], BELOW[1] - 1)))
    chosen = None
    if arguments[:1] == ["--only"]:
        chosen, arguments = arguments[1], ["--this-python"] + arguments[2:]  # noqa: RUF005
        version = version_of(chosen)
        if not fits(version):
            what = "is Python %s" % dotted(version) if version else "does not start"
            sys.exit(
                "make: PYTHON=%s %s, but the course needs Python %s; "
                "name another one, or leave PYTHON out." % (chosen, what, range_text)
            )
    elif fits(sys.version_info[:2]):
        chosen = sys.executable
    else:
        chosen = next((name for name in OTHERS if fits(version_of(name))), None)
        if chosen is None:
            sys.exit(
                "make: the course needs Python %s, but python3 is %s (%s) and no other was found "
                "on the PATH; install one (python.org, your package manager, or conda), then run: "
                "make course PYTHON=/path/to/python3"
                % (range_text, dotted(sys.version_info[:2]), sys.executable)
            )
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "environment.py")
    # Python 2.7 has no other way to join lists.
    sys.exit(subprocess.call([chosen, script] + arguments))  # noqa: RUF005


if __name__ == "__main__":
    main(sys.argv[1:])
