"""What an answer is worth: its value, its type, its error, its tokens."""
