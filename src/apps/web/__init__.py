"""What the pages of both programs share: safe answers and a port to listen on, and one style."""
