"""The shared helper package of Words to Answers; each module belongs to the notebook of the same subject."""
