"""What strangers try, and what they get. Everything here is aimed at this product alone."""
