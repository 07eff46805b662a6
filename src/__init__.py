"""The helper package of Words to Answers: a module for each subject of the notebooks."""

from src import runtime

runtime.let_threads_sleep()  # here, because it has to come before the first import of torch
