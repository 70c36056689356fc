"""Every picture that is made for people."""
