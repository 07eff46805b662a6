"""What the course's own web pages share: the demo (src.apps.demo) and live polls (src.apps.poll).

server.py answers safely and finds a port to listen on; base.css is how the pages look, light and dark.
"""
