"""The demo: a page on this computer that asks Wikipedia, or a passage of your own. `make demo`, or `python -m src.apps.demo`.

desk.py checks what people ask and answers it; batcher.py lets many people wait for one reader; server.py speaks HTTP;
page.html, page.css and page.js are what a browser shows. It asks no other computer for anything.
"""
