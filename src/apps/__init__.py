"""Programs with pages for a browser: `python -m src.apps.poll` and `python -m src.apps.demo`.

Nothing outside imports them; `web` and `command` are what they share.
"""
