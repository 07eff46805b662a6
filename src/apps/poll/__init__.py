"""Live polls: a question on the projector, votes from phones, bars that move: `make poll`.

`room` has the rules, `store` keeps the votes, `limits` stops floods, `server` speaks HTTP.
docs/polls.md is the manual.
"""
