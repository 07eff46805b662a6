"""Live polls: a question on the projector, votes from phones, bars that move. `make poll`, or `python -m src.apps.poll`.

room.py holds what may happen in a poll, and store.py keeps it; limits.py stops those who vote too much; server.py speaks HTTP;
the other files are what browsers show: vote on a phone, instructor on the projector, shared in both. docs/polls.md is the manual.
"""
