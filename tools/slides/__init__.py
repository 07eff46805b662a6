"""Talks made from notebooks: pieces of a slide, a notebook cut into slides, and how many minutes they take."""
