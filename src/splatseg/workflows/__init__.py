"""What a person asks for, one function each: plain arguments in, one result dataclass out."""
