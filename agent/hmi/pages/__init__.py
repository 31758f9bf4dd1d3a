"""State and language to the words of each page; pure."""
