"""What the course's own web pages share: the demo (src.qa.demo) and live polls (src.poll).

server.py answers safely and finds a port to listen on; base.css is how the pages look, light and dark.
"""
