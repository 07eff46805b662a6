"""The shared helper package of Words to Answers; each module belongs to the notebook of the same subject."""

from src import runtime

runtime.let_threads_sleep()  # here, because it has to come before the first import of torch
