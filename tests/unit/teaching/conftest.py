"""What the tests of several notebooks' exercises share."""

import pytest

from src.teaching.exercises import find, grade


@pytest.fixture
def verdict_on():
    """verdict_on(exercise, body): what the check says of the exercise's stub with `body` in place of its three dots."""

    def verdict(exercise, body):
        found = find(exercise)
        namespace = {}
        exec(f"import math\nimport numpy as np\n{found.stub.rpartition('    return ...')[0]}    {body}\n", namespace)
        return grade(exercise, namespace[found.name])

    return verdict
