"""The demo: a page that asks Wikipedia, or a passage of your own: `make demo`.

`service` checks what people ask and answers it, `server` speaks HTTP.
"""
