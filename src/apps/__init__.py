"""Programs with pages for a browser: `python -m src.apps.poll`, `python -m src.apps.demo`; web is what they share.

Nothing outside imports them.
"""
