"""Live polls, a question on the projector and votes from phones: `make poll`.

`room` has the rules, `store` keeps the votes, `limits` stops floods, `server` speaks HTTP.
docs/polls.md is the manual.
"""
