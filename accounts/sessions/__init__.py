"""Sessions: how long one lasts, which ones a person has, and how to end one from elsewhere."""
